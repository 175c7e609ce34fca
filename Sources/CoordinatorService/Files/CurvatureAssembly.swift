import BlobStore
import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Finishes a factor, regularizer or inverse file, one matrix in memory at a time.
///
/// Workers have written most matrices in place. The others are written from their blobs.
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
    ///   checksums, `JobFileError`, `BlobStoreError`. No file of that name exists then.
    func write(_ operation: CoordinatorOperation, _ file: CurvatureContents.File) throws {
        let metadata = try contents.metadata(of: operation) { result($0)?.measurements }
        let writer = try staged.writer(of: file, metadata: metadata, draft: try contents.draft(of: operation))
        var placed: [String: UnitOutput] = [:]
        for source in file.sources {
            guard let made = result(source.output.unit), let blob = made.blob(at: source.output.position) else {
                throw CoordinatorWorkError.missingResult(source.name.name)
            }
            if let checksum = made.placed?[source.output.position] {
                try writer.noteWritten(source.name.name, checksum)
                placed[source.name.name] = source.output
            } else {
                try write(source, blob, writer)
            }
        }
        for tensor in file.rows { try write(tensor, writer, &placed) }
        // So no byte is published that a disk or another process has changed.
        let differing = try writer.prove()
        guard differing.isEmpty else {
            throw CoordinatorWorkError.damagedPlaces(
                differing.compactMap { placed[$0] }, directory: writer.directory)
        }
        try writer.finish()
        staged.noteFinished(writer.finished)
    }

    /// Writes a tensor of joint rows, unless a worker has written it in place.
    private func write(
        _ tensor: JointTensor, _ writer: CurvatureWriter, _ placed: inout [String: UnitOutput]
    ) throws {
        let numbers: [Double]
        switch tensor.content {
        case .blob(let output):
            guard let made = result(output.unit), let blob = made.blob(at: output.position) else {
                throw CoordinatorWorkError.missingResult(tensor.name)
            }
            if let checksum = made.placed?[output.position] {
                try writer.noteWritten(tensor.name, checksum)
                placed[tensor.name] = output
            } else {
                try blobs.forEachPiece(of: blob) { bytes, offset throws in
                    try writer.write(rows: bytes, to: tensor.name, at: offset)
                }
            }
            return
        case .mean(let lists):
            let found = lists.compactMap { result($0.unit)?.measurements[$0.name] }
            guard found.count == lists.count, found.allSatisfy({ [$0.count] == tensor.shape }) else {
                throw CoordinatorWorkError.missingResult(tensor.name)
            }
            numbers = JointWeights.means(found)
        case .number(let number): numbers = [number]
        }
        let elements = numbers.map { Float($0) }
        try writer.write(rows: elements.span.bytes, to: tensor.name)
    }

    private func write(_ source: CurvatureContents.Source, _ blob: BlobReference, _ writer: CurvatureWriter) throws {
        guard source.form == nil else {
            let bytes = try blobs.bytes(blob)
            try writer.write(compressed: bytes.span.bytes, to: source.name)
            return
        }
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
}
