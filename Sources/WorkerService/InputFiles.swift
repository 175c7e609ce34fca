import FileAccess
import Identifiers
import LinearAlgebra
import Messaging
import Safetensors
import Synchronization
import SystemPackage
import UnitOperations
import WireProtocol
import ZeroMQ

/// The input files that this machine can read and whose size and header match the coordinator's.
///
/// Source: DESIGN section 5: captures are read from a path that the worker can see, otherwise streamed.
final class VisibleFiles: Sendable {
    /// The most files and header bytes that are kept; descriptors have a bound of their own.
    private static let (countMax, headerBytesMax) = (8192, 256 << 20)

    private struct Known {
        var files: [LeasedFile: SafetensorsFile] = [:]
        var headerBytes = 0
    }

    private let known = Mutex(Known())
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    /// The open file, or `nil` when this machine has no matching file at the path.
    func file(_ leased: LeasedFile) -> SafetensorsFile? {
        if let file = known.withLock({ $0.files[leased] }) { return file }
        guard let file = try? SafetensorsFile(opening: FilePath(leased.path), within: roots),
            UInt64(file.identity.byteCount) == leased.byteCount,
            file.identity.headerDigest == leased.headerDigest.bytes
        else { return nil }
        known.withLock { known in
            if known.files.count >= Self.countMax || known.headerBytes > Self.headerBytesMax { known = Known() }
            known.files[leased] = file
            known.headerBytes += file.header.dataOffset
        }
        return file
    }
}

/// Reads the bytes of one unit's inputs, wherever they are.
struct InputReader: Sendable {
    let lease: UnitLease
    let visible: VisibleFiles
    let connection: WorkerConnection
    /// The unit's blobs.
    let blobs: UnitBlobs

    /// Counts the unit's steps.
    var progress: UnitProgressCounter { blobs.progress }

    /// The file's path, for messages.
    func path(of file: Int) -> String {
        lease.files[file]?.path ?? "input file \(file)"
    }

    private func file(_ index: Int) throws -> LeasedFile {
        guard let file = lease.files[index] else { throw UnitError.malformedLease("it does not name file \(index)") }
        return file
    }

    /// Whether this process sees the slice's file; the coordinator sends other files.
    func isVisible(_ slice: FileSlice) -> Bool {
        lease.files[slice.file].map { visible.file($0) != nil } ?? false
    }

    /// Asks the kernel to read ahead while the lane computes.
    func prefetch(_ slice: FileSlice) {
        guard let leased = lease.files[slice.file], let file = visible.file(leased) else { return }
        file.prefetch(fileRange: Int(slice.offset)..<Int(slice.offset + slice.byteCount))
    }

    /// Reads a slice into the bytes of a matrix.
    ///
    /// - Throws: `SafetensorsError` or `MessagingError` when the bytes cannot be read.
    func read(_ slice: FileSlice, into matrix: inout Matrix<Float>, at byteOffset: Int) async throws {
        let end = byteOffset + Int(slice.byteCount)
        guard end <= matrix.elementCount * 4 else { throw UnitError.malformedLease("rows exceed their chunk") }
        let leased = try file(slice.file)
        if let file = visible.file(leased) {
            try matrix.withMutableBytes { bytes throws in
                var target = bytes._mutatingExtracting(byteOffset..<end)
                try file.read(fromFileOffset: Int(slice.offset), into: &target)
            }
            try progress.step()
            return
        }
        try await fetch(slice) { chunk, place in
            _ = matrix.withMutableBytes { chunk.copy(into: &$0, at: byteOffset + place) }
        }
    }

    /// Reads a slice into an array and sets the array's length to the slice's.
    ///
    /// - Throws: `SafetensorsError` or `MessagingError` when the bytes cannot be read.
    func read(_ slice: FileSlice, into bytes: inout [UInt8]) async throws {
        let count = Int(slice.byteCount)
        if bytes.count != count { bytes = [UInt8](repeating: 0, count: count) }
        let leased = try file(slice.file)
        if let file = visible.file(leased) {
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            try file.read(fromFileOffset: Int(slice.offset), into: &target)
            try progress.step()
            return
        }
        try await fetch(slice) { chunk, place in
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            _ = chunk.copy(into: &target, at: place)
        }
    }

    private func fetch(_ slice: FileSlice, consume: (Frame, Int) throws -> Void) async throws {
        progress.setWaiting(true)
        defer { progress.setWaiting(false) }
        try await connection.fetch(
            .inputFile(lease.leased.unit.job, slice.file), offset: slice.offset, byteCount: slice.byteCount
        ) { chunk, place in
            try consume(chunk, place)
            try progress.step()
        }
    }

    /// Reads a factor, from the cache or the coordinator.
    ///
    /// - Throws: What ``UnitBlobs/matrix(_:of:)`` throws.
    func factor(_ blob: BlobReference, of shape: SymmetricShape) async throws -> PackedSymmetricMatrix<Float> {
        try await blobs.matrix(blob, of: shape)
    }

    /// Reads a factor of F64, from the cache or the coordinator.
    ///
    /// - Throws: What ``UnitBlobs/matrix(_:of:)`` throws.
    func doubleFactor(_ blob: BlobReference, of shape: SymmetricShape) async throws -> PackedSymmetricMatrix<Double> {
        try await blobs.matrix(blob, of: shape)
    }
}
