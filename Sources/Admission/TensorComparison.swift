import Glibc
public import JobPlan
public import Safetensors
import UnitOperations

/// Compares tensors of two checkpoints byte by byte, in pieces, up to the first difference.
public struct TensorComparison: Sendable {
    /// Bytes of a piece; most tensors that differ do so in the first one.
    private static let pieceBytes = 1 << 20
    private static let firstBytes = 1 << 16
    /// Elements of tensors of two types that are compared at a time.
    private static let pieceElements = 1 << 16
    /// Bytes of a sample.
    private static let sampleBytes = 4096

    /// The files that the tensors' slices refer to.
    let files: [SafetensorsFile]

    /// Compares tensors of these files.
    public init(files: [SafetensorsFile]) {
        self.files = files
    }

    /// Whether two tensors differ in type, shape or any byte.
    ///
    /// - Throws: `SafetensorsError` when bytes cannot be read.
    public func differ(_ left: TensorInventory, _ right: TensorInventory) throws -> Bool {
        try differ(left, right) { byteCount in
            let first = min(Self.firstBytes, byteCount)
            return [0..<first]
                + stride(from: first, to: byteCount, by: Self.pieceBytes).map {
                    $0..<min($0 + Self.pieceBytes, byteCount)
                }
        }
    }

    /// Whether two tensors differ at their ends or in the middle; this is cheap and finds nearly all differences.
    ///
    /// - Throws: `SafetensorsError` when bytes cannot be read.
    func samplesDiffer(_ left: TensorInventory, _ right: TensorInventory) throws -> Bool {
        try differ(left, right) { byteCount in
            [0, byteCount / 2, max(0, byteCount - Self.sampleBytes)].map {
                $0..<min($0 + Self.sampleBytes, byteCount)
            }
        }
    }

    /// Whether all pairs hold the same bytes.
    ///
    /// Samples are compared first, then all bytes up to a bound.
    ///
    /// Tensors that cannot be read are not equal. An empty list of pairs is not equal either.
    func areEqual(_ pairs: [(TensorInventory, TensorInventory)], fullBytes: Int) -> Bool {
        // Samples find nearly all differences, in tensors of any size.
        guard !pairs.isEmpty, pairs.allSatisfy({ (try? samplesDiffer($0, $1)) == false }) else { return false }
        var budget = fullBytes
        for (left, right) in pairs {
            guard budget > 0 else { return true }
            budget -= Int(left.slice.byteCount)
            guard (try? differ(left, right)) == false else { return false }
        }
        return true
    }

    private func differ(
        _ left: TensorInventory, _ right: TensorInventory, pieces: (Int) -> [Range<Int>]
    ) throws -> Bool {
        // An update is not stored, so its bytes cannot be compared; nearly every first element differs.
        guard left.update == right.update else { return try valuesDiffer(left, right) }
        guard left.elementType == right.elementType, left.shape == right.shape,
            left.slice.byteCount == right.slice.byteCount
        else { return true }
        // The slices are equal for one tensor under two names, and for one file under two tasks.
        guard left.slice != right.slice else { return false }
        var bytes: (left: [UInt8], right: [UInt8]) = ([], [])
        for piece in pieces(Int(left.slice.byteCount)) where !piece.isEmpty {
            try read(left, piece, into: &bytes.left)
            try read(right, piece, into: &bytes.right)
            if !Self.areEqual(bytes.left.span.bytes, bytes.right.span.bytes) { return true }
        }
        return false
    }

    /// Whether two tensors differ in any value; their types do not count.
    ///
    /// - Throws: `SafetensorsError` when bytes cannot be read.
    func valuesDiffer(_ left: TensorInventory, _ right: TensorInventory) throws -> Bool {
        guard let leftType = left.floatingType, let rightType = right.floatingType, left.shape == right.shape else {
            return true
        }
        let leftValues = try TensorValues(left, leftType, files: files)
        let rightValues = try TensorValues(right, rightType, files: files)
        for first in stride(from: 0, to: left.elementCount, by: Self.pieceElements) {
            let elements = first..<min(first + Self.pieceElements, left.elementCount)
            if try leftValues.values(elements) != rightValues.values(elements) { return true }
        }
        return false
    }

    /// Reads some of a tensor's bytes.
    ///
    /// - Throws: `SafetensorsError` when they cannot be read.
    func bytes(of tensor: TensorInventory, _ range: Range<Int>) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try read(tensor, range, into: &bytes)
        return bytes
    }

    private func read(_ tensor: TensorInventory, _ range: Range<Int>, into bytes: inout [UInt8]) throws {
        if bytes.count != range.count { bytes = [UInt8](repeating: 0, count: range.count) }
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try files[tensor.slice.file].read(
            fromFileOffset: Int(tensor.slice.offset) + range.lowerBound, into: &raw)
    }

    /// Whether two ranges hold the same bytes.
    public static func areEqual(_ left: RawSpan, _ right: RawSpan) -> Bool {
        guard left.byteCount == right.byteCount else { return false }
        return unsafe left.withUnsafeBytes { left in
            unsafe right.withUnsafeBytes { right in
                guard let first = left.baseAddress, let second = right.baseAddress else { return true }
                return unsafe memcmp(first, second, left.count) == 0
            }
        }
    }
}
