public import JobPlan
public import LinearAlgebra
public import Safetensors
import UnitOperations

/// The values of a checkpoint's tensor, read in ranges: its stored bytes, or their sum with an adapter's update.
///
/// The factors of an update are kept; the sum is formed for each range, in fp64.
public struct TensorValues: Sendable {
    /// The tensor.
    public let tensor: TensorInventory
    /// The type of the values as they are read.
    public let type: ElementType
    private let storedType: ElementType
    private let files: [SafetensorsFile]
    /// The update of an adapter; `nil` for a tensor whose values are stored.
    public let product: LowRankProduct?

    /// Prepares reading, and reads an update's factors.
    ///
    /// - Parameters:
    ///   - tensor: A tensor of floating-point numbers.
    ///   - type: Its stored type.
    ///   - files: The job's files, as slices number them.
    /// - Throws: `SafetensorsError` when the factors cannot be read, `LinearAlgebraError` for factors of other sizes.
    public init(_ tensor: TensorInventory, _ type: ElementType, files: [SafetensorsFile]) throws {
        self.tensor = tensor
        self.files = files
        storedType = type
        self.type = tensor.update == nil ? type : .f64
        product = try tensor.update.map { update throws in
            try update.product(
                up: try Self.bytes(of: update.up.slice, files),
                down: try update.down.map { factor throws in try Self.bytes(of: factor.slice, files) } ?? [])
        }
    }

    private static func bytes(of slice: FileSlice, _ files: [SafetensorsFile]) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(slice.byteCount))
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try files[slice.file].read(fromFileOffset: Int(slice.offset), into: &raw)
        return bytes
    }

    /// Reads some elements.
    ///
    /// - Parameters:
    ///   - elements: The elements, in the order in which the tensor stores them.
    ///   - target: Their bytes in ``type``.
    /// - Throws: `SafetensorsError` when bytes cannot be read.
    public func read(_ elements: Range<Int>, into target: inout MutableRawSpan) throws {
        let offset = Int(tensor.slice.offset) + elements.lowerBound * storedType.byteCount
        guard let product else { return try files[tensor.slice.file].read(fromFileOffset: offset, into: &target) }
        var stored = [UInt8](repeating: 0, count: elements.count * storedType.byteCount)
        do {
            var span = stored.mutableSpan
            var raw = span.mutableBytes
            try files[tensor.slice.file].read(fromFileOffset: offset, into: &raw)
        }
        var values = [Double](repeating: 0, count: elements.count)
        var sum = values.mutableSpan
        try storedType.decode(stored.span.bytes, into: &sum)
        try product.add(elements, to: &sum)
        try ElementType.f64.encode(sum.span, into: &target)
    }

    /// Reads some elements in fp64.
    ///
    /// - Throws: As ``read(_:into:)``.
    func values(_ elements: Range<Int>) throws -> [Double] {
        var bytes = [UInt8](repeating: 0, count: elements.count * type.byteCount)
        do {
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            try read(elements, into: &raw)
        }
        var values = [Double](repeating: 0, count: elements.count)
        var target = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &target)
        return values
    }
}
