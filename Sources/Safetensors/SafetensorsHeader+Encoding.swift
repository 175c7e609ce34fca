import Identifiers
import JSONText
public import SystemPackage

extension SafetensorsHeader {
    /// The header of a file that is not written yet, as ``SafetensorsWriter`` would write it.
    ///
    /// - Parameters:
    ///   - tensors: all tensors in the order of their data.
    ///   - metadata: the `__metadata__` strings.
    ///   - file: named in errors only.
    /// - Throws: ``SafetensorsError`` as ``SafetensorsWriter/init(path:tensors:metadata:)``.
    public init(
        describing tensors: [TensorDescription], metadata: [String: String], file: FilePath
    ) throws(SafetensorsError) {
        let placed = try Self.layOut(tensors, file: file)
        let bytes = try Self.encode(placed, metadata: metadata, file: file)
        let dataByteCount = placed.last?.byteRange.upperBound ?? 0
        try self.init(parsing: bytes, fileSize: bytes.count + dataByteCount, file: file)
    }

    /// Places tensors one after the other in the given order.
    ///
    /// - Throws: ``SafetensorsError/writing(file:name:problem:)`` for repeated names and for sizes that overflow.
    static func layOut(_ tensors: [TensorDescription], file: FilePath) throws(SafetensorsError) -> [TensorInfo] {
        var names: Set<String> = [SafetensorsHeaderParser.metadataKey]
        var end = 0
        var placed: [TensorInfo] = []
        placed.reserveCapacity(tensors.count)
        for tensor in tensors {
            guard names.insert(tensor.name).inserted else {
                throw .writing(file: file, name: tensor.name, problem: .nameTaken)
            }
            guard let byteCount = tensor.byteCount, byteCount <= Int.max / 2 - end else {
                throw .writing(file: file, name: tensor.name, problem: .sizeUnknown(tensor))
            }
            placed.append(TensorInfo(description: tensor, byteRange: end..<end + byteCount))
            end += byteCount
        }
        return placed
    }

    /// The bytes before the data: length, JSON as the reference implementation writes it, spaces up to a multiple of 8.
    ///
    /// The same tensors and metadata give the same bytes: metadata keys are sorted.
    ///
    /// - Parameters:
    ///   - tensors: the tensors with their ranges.
    ///   - metadata: the `__metadata__` strings.
    ///   - byteCountMin: more spaces are added up to this size.
    ///   - file: named in errors only.
    /// - Returns: The bytes.
    /// - Throws: ``SafetensorsError/header(file:problem:)`` if the header exceeds what the format allows.
    static func encode(
        _ tensors: [TensorInfo],
        metadata: [String: String],
        byteCountMin: Int = 0,
        file: FilePath
    ) throws(SafetensorsError) -> [UInt8] {
        var text = "{"
        if !metadata.isEmpty {
            let sorted = metadata.sorted { $0.key.precedesByScalars($1.key) }
            let members = sorted.map { JSONValue.Member($0.key, .string($0.value)) }
            text += "\"\(SafetensorsHeaderParser.metadataKey)\":" + JSONValue.object(members).text()
        }
        for tensor in tensors {
            if text.utf8.count > 1 { text += "," }
            JSONValue.appendQuoted(tensor.name, to: &text)
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            text += ":{\"dtype\":\"\(tensor.dataType.rawValue)\",\"shape\":[\(shape)],"
            text += "\"data_offsets\":[\(tensor.byteRange.lowerBound),\(tensor.byteRange.upperBound)]}"
        }
        text += "}"
        let padded = max((text.utf8.count + 7) & ~7, byteCountMin - lengthByteCount)
        guard padded <= byteCountLimit else {
            throw .header(file: file, problem: .tooLarge(byteCount: UInt64(padded), limit: byteCountLimit))
        }
        let length = (0..<lengthByteCount).map { UInt8(truncatingIfNeeded: padded >> (8 * $0)) }
        return length + Array(text.utf8) + Array(repeating: 0x20, count: padded - text.utf8.count)
    }
}
