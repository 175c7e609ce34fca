import Console
import Identifiers
import LinearAlgebra
import Safetensors

/// The difference of a tensor from a reference.
enum TensorDifference {
    /// ‖x − y‖ / ‖y‖ of finite numbers.
    case relative(Double)
    /// The values cannot be measured as numbers, but the bytes are equal.
    case equal
    /// Beyond every tolerance, for this reason.
    case beyond(String)
    /// The files with NaN or infinity; this is beyond every tolerance, and an error in itself.
    case notFinite(String)

    /// The difference as a number that can be compared with a tolerance.
    var magnitude: Double {
        switch self {
        case .relative(let value): value
        case .equal: 0
        case .beyond, .notFinite: .infinity
        }
    }

    /// The text for a table.
    var text: String {
        switch self {
        case .relative(let value): Quantity.scientific(value)
        case .equal: "equal"
        case .beyond(let reason), .notFinite(let reason): reason
        }
    }
}

/// Compares tensors of two sets in pieces; its memory does not depend on their size.
struct TensorMeasure {
    private static let pieceElements = 1 << 17

    let file: SafetensorsSet
    let reference: SafetensorsSet
    /// The set that is subtracted from the file's tensors first.
    let base: SafetensorsSet?

    /// Measures a tensor that both sets hold with one shape.
    ///
    /// - Throws: `CommandFailure` for a base that does not match, `SafetensorsError` for a failed read.
    func difference(_ name: String) throws -> TensorDifference {
        guard let own = file[name]?.tensor, let other = reference[name]?.tensor else { return .beyond("missing") }
        let types = (ElementType(rawValue: own.dataType.rawValue), ElementType(rawValue: other.dataType.rawValue))
        guard let type = types.0, let otherType = types.1 else {
            guard own.dataType == other.dataType else {
                return .beyond("\(own.dataType.rawValue) against \(other.dataType.rawValue)")
            }
            return try areEqual(name, byteCount: own.byteCount) ? .equal : .beyond("other values")
        }
        return try numericDifference(name, type, otherType, count: own.byteCount / type.byteCount)
    }

    private func numericDifference(
        _ name: String, _ type: ElementType, _ otherType: ElementType, count: Int
    ) throws -> TensorDifference {
        let baseType = try base.map { try baseElementType(name, of: $0, count: count) }
        var (distance, norm) = (ScaledNorm(), ScaledNorm())
        var (own, others, origin) = (0, 0, 0)
        for first in stride(from: 0, to: count, by: Self.pieceElements) {
            let range = first..<min(first + Self.pieceElements, count)
            let values = try elements(name, of: file, type, range)
            let expected = try elements(name, of: reference, otherType, range)
            let subtracted = try base.flatMap { set in try baseType.map { try elements(name, of: set, $0, range) } }
            for index in values.indices {
                own += values[index].isFinite ? 0 : 1
                others += expected[index].isFinite ? 0 : 1
                var value = values[index]
                if let subtracted {
                    origin += subtracted[index].isFinite ? 0 : 1
                    value -= subtracted[index]
                }
                distance.add(value - expected[index])
                norm.add(expected[index])
            }
        }
        let found = [(own, "FILE"), (others, "REFERENCE"), (origin, "the base")].filter { $0.0 > 0 }
        guard found.isEmpty else {
            return .notFinite(found.map { "\($0.0) not finite in \($0.1)" }.joined(separator: ", "))
        }
        let ratio = distance.ratio(to: norm)
        return ratio.isFinite ? .relative(ratio) : .beyond(norm.value == 0 ? "reference is 0" : "beyond fp64")
    }

    private func baseElementType(_ name: String, of set: SafetensorsSet, count: Int) throws -> ElementType {
        guard let tensor = set[name]?.tensor, let type = ElementType(rawValue: tensor.dataType.rawValue),
            tensor.byteCount / type.byteCount == count
        else {
            throw CommandFailure(
                .badInput,
                "\(set.path): the base's tensor \"\(name.excerpt)\" is missing, no floating-point tensor, or of another "
                    + "shape. Name the base that the reference was made with.")
        }
        return type
    }

    private func elements(
        _ name: String, of set: SafetensorsSet, _ type: ElementType, _ range: Range<Int>
    ) throws -> [Double] {
        let bytes = try bytes(name, of: set, range.lowerBound * type.byteCount..<range.upperBound * type.byteCount)
        var values = [Double](repeating: 0, count: range.count)
        var span = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &span)
        return values
    }

    private func areEqual(_ name: String, byteCount: Int) throws -> Bool {
        let pieceBytes = Self.pieceElements * 8
        for first in stride(from: 0, to: byteCount, by: pieceBytes) {
            let range = first..<min(first + pieceBytes, byteCount)
            if try bytes(name, of: file, range) != bytes(name, of: reference, range) { return false }
        }
        return true
    }

    private func bytes(_ name: String, of set: SafetensorsSet, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try set.read(name, at: range.lowerBound, into: &raw)
        return bytes
    }
}
