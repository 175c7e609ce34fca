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
        let name = "factor\(position).safetensors"
        let path = FilePath(bench.directory.appending(name))
        let dataType: TensorDataType = type == .f64 ? .float64 : .float32
        let writer = try SafetensorsWriter(
            path: path, tensors: [TensorDescription(name: "fc.A", dataType: dataType, shape: [elements.count])])
        if type == .f64 {
            try writer.write(elements.span.bytes, to: "fc.A")
        } else {
            let narrow = elements.map { Float($0) }
            try writer.write(narrow.span.bytes, to: "fc.A")
        }
        try writer.finish()
        let written = try SafetensorsFile(opening: path)
        let byteCount = elements.count * type.byteCount
        let range = try written.fileRange(of: "fc.A", at: 0, count: byteCount)
        bench.coordinator.offer(try bench.directory.read(name), as: .inputFile(Bench.name.unit.job, position))
        slice = FileSlice(file: position, offset: UInt64(range.lowerBound), byteCount: UInt64(byteCount))
        file = LeasedFile(
            path: isVisible ? path.string : "/nowhere/\(name)", byteCount: UInt64(written.identity.byteCount),
            headerDigest: BlobDigest(sha256: written.identity.headerDigest))
    }
}
