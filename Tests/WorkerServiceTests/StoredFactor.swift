import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import UnitOperations
import WireProtocol

@testable import WorkerService

/// A factor in a file of its own, which the worker can read or must fetch.
struct StoredFactor {
    /// The place of its elements.
    let slice: FileSlice
    /// The file, as a lease names it.
    let file: LeasedFile

    /// Writes the factor `fc.A`.
    ///
    /// - Parameters:
    ///   - elements: Its elements in the order of the file.
    ///   - type: F32 or F64.
    ///   - isVisible: Whether the worker can read the file itself.
    ///   - position: The file's number in the lease.
    ///   - bench: The worker.
    /// - Throws: what writing the file throws.
    init(_ elements: [Double], as type: ElementType, isVisible: Bool, at position: Int, of bench: Bench) throws {
        var bytes = [UInt8](repeating: 0, count: elements.count * type.byteCount)
        var span = bytes.mutableSpan
        var target = span.mutableBytes
        try type.encode(elements.span, into: &target)
        try self.init(
            bytes: bytes, as: type == .f64 ? .float64 : .float32, isVisible: isVisible, at: position, of: bench)
    }

    /// Writes the bytes of `fc.A`, as a tensor of one row.
    ///
    /// - Throws: what writing the file throws.
    init(
        bytes: [UInt8], as type: TensorDataType = .uint8, isVisible: Bool, at position: Int, of bench: Bench
    ) throws {
        let name = "factor\(position).safetensors"
        let path = FilePath(bench.directory.appending(name))
        let writer = try SafetensorsWriter(
            path: path,
            tensors: [TensorDescription(name: "fc.A", dataType: type, shape: [bytes.count * 8 / type.bitCount])])
        try writer.write(bytes.span.bytes, to: "fc.A")
        try writer.finish()
        let written = try SafetensorsFile(opening: path)
        let range = try written.fileRange(of: "fc.A", at: 0, count: bytes.count)
        bench.coordinator.offer(try bench.directory.read(name), as: .inputFile(Bench.name.unit.job, position))
        slice = FileSlice(file: position, offset: UInt64(range.lowerBound), byteCount: UInt64(bytes.count))
        file = LeasedFile(
            path: isVisible ? path.string : "/nowhere/\(name)", byteCount: UInt64(written.identity.byteCount),
            headerDigest: BlobDigest(sha256: written.identity.headerDigest))
    }
}
