import BlobStore
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import UnitOperations

/// Finishes a factor, regularizer or inverse file, one matrix in memory at a time.
///
/// Workers have written most matrices in place, of very large squares the lower triangle. The others are written from
/// their blobs.
struct CurvatureAssembly {
    let contents: CurvatureContents
    let staged: StagedOutputs
    let blobs: PackedBlobs
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    /// Writes what is missing, and gives the file its name.
    ///
    /// - Parameters:
    ///   - operation: The operation that writes the file.
    ///   - file: What stands in it.
    /// - Throws: ``CoordinatorWorkError/damagedPlaces(_:directory:)`` for matrices in place that differ from their
    ///   digests, `JobFileError`, `BlobStoreError`. No file of that name exists then.
    func write(_ operation: CoordinatorOperation, _ file: CurvatureContents.File) throws {
        let metadata = try contents.metadata(of: operation) { result($0)?.measurements }
        let writer = try staged.writer(of: file, metadata: metadata, draft: try contents.draft(of: operation))
        var damaged: [UnitOutput] = []
        for source in file.sources {
            guard let made = result(source.output.unit), let blob = made.blob(at: source.output.position) else {
                throw CoordinatorWorkError.missingResult(source.name.name)
            }
            if !made.hasPlaced(source.output.position) {
                try write(source, blob, writer)
            } else if try complete(source, blob, writer) == false {
                damaged.append(source.output)
            }
        }
        guard damaged.isEmpty else {
            throw CoordinatorWorkError.damagedPlaces(damaged, directory: writer.directory)
        }
        try writer.finish()
        staged.noteFinished(writer.finished)
    }

    private func write(_ source: CurvatureContents.Source, _ blob: BlobReference, _ writer: CurvatureWriter) throws {
        var matrix = try blobs.matrix(blob, of: source.shape)
        if source.strength != 1 {
            matrix.multiply(by: source.strength)
            guard matrix.firstNonFiniteRow() == nil else {
                throw CoordinatorWorkError.badInput(
                    "the strength \(source.strength) of \"\(source.block)\" makes \"\(source.name.name)\" larger than "
                        + "fp32 can hold. Lower it in \"groups\".")
            }
        }
        try writer.write(matrix, to: source.name)
    }

    /// Compares what stands in a place with its digest, and completes the upper triangle of a square.
    ///
    /// So no byte is published that a disk or another process has changed.
    ///
    /// - Returns: Whether the bytes match.
    private func complete(
        _ source: CurvatureContents.Source, _ blob: BlobReference, _ writer: CurvatureWriter
    ) throws -> Bool {
        let matrix = try writer.readBack(source.name, source.shape)
        guard matrix.withBytes({ BlobDigest(hashing: $0) }) == blob.digest else { return false }
        try writer.complete(matrix, in: source.name)
        return true
    }
}
