import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import WireProtocol

/// The sums that a task's captures make, and the rows that a stream sends of each.
///
/// Source: DESIGN sections 2.1 and 3.
struct CaptureSums: Sendable {
    /// The rows of a sum.
    enum Rows: Sendable {
        /// None: no row of the task reached the layer or parameter.
        case none
        /// The captured rows as they are.
        case captured(CapturedTensor, ElementType)
        /// One row for each sample: the mean or the sum of its rows.
        ///
        /// `lengths` are the rows of the samples, for each part of the tensor.
        case reduced(CapturedTensor, lengths: [[Int]], isMean: Bool)
        /// One row, whose squares are the diagonal of an embedding's sum; with `lengths` every sample is averaged.
        case embedding(CapturedTensor, IndexType, lengths: [[Int]]?)
    }

    /// One sum.
    struct Sum: Sendable {
        let tensor: CurvatureTensorName
        /// Elements of a row, without the one of a bias.
        let columns: Int
        let rows: Rows

        /// Bytes of all rows as they are sent.
        var byteCount: UInt64 {
            switch rows {
            case .none: 0
            case .captured(let tensor, _): UInt64(tensor.rowCount).saturatingProduct(UInt64(tensor.rowByteCount))
            case .reduced(_, let lengths, _):
                UInt64(lengths.reduce(0) { $0 + $1.count }).saturatingProduct(
                    UInt64(columns * ElementType.f32.byteCount))
            case .embedding: UInt64(columns * ElementType.f32.byteCount)
            }
        }

        /// The type of the elements that are sent.
        var elementType: ElementType {
            if case .captured(_, let type) = rows { type } else { .f32 }
        }
    }

    /// The sums in the order in which they are sent: layer by layer, and side by side.
    let sums: [Sum]
    /// What the file of the sums will say, for any place in a run.
    private let metadata: PartialsMetadata
    /// Whether the counts of rows are not those of the rows that are sent.
    private let statesRows: Bool

    /// Finds the sums of captures.
    ///
    /// - Parameters:
    ///   - captures: The captures of one task.
    ///   - task: The task.
    ///   - normalization: That of the sums.
    ///   - bias: Which layers have a bias.
    ///   - sumsTraces: Whether the exact traces of layers are summed too.
    /// - Throws: ``CommandFailure`` with all problems.
    init(
        of captures: CaptureSet, task: TaskName, normalization: FactorNormalization, bias: BiasStatement,
        sumsTraces: Bool
    ) throws {
        var found = CaptureSumFinder(captures, isReduced: normalization == .reduce, bias)
        try found.find()
        sums = found.sums
        statesRows = normalization == .reduce || found.hasEmbedding
        var metadata = PartialsMetadata(
            task: task, run: "", rank: 0, sequence: 0, rowCounts: .each(found.rowCounts),
            sampleCounts: .each(found.sampleCounts), probeCount: captures.probeCount,
            normalization: normalization.rawValue, hasBias: found.hasBias, layouts: found.layouts,
            baseDigest: captures.baseDigest)
        metadata.diagonals = found.diagonals
        if sumsTraces {
            metadata.exactTraces = try CaptureTraces(captures: captures, hasBias: found.hasBias).sums()
            // A layer that no row reached adds nothing.
            for layer in found.rowCounts.keys { metadata.exactTraces[layer] = metadata.exactTraces[layer] ?? 0 }
        }
        self.metadata = metadata
    }

    /// The announcement of the sums.
    var offer: RowStreamOffer {
        let later: Set = [
            MetadataKey.format, MetadataKey.run, MetadataKey.processRank, MetadataKey.sequence, MetadataKey.rows,
            MetadataKey.samples, MetadataKey.exactTrace,
        ]
        return RowStreamOffer(
            metadata: metadata.strings.filter { !later.contains($0.key) },
            sums: sums.map { RowStreamOffer.Sum(tensors: [$0.tensor.name], columns: $0.columns) })
    }

    /// The metadata that a client states when all rows are sent.
    var commitment: [String: String] {
        metadata.strings.filter { key, _ in
            [MetadataKey.samples, MetadataKey.exactTrace].contains(key) || statesRows && key == MetadataKey.rows
        }
    }

    /// Bytes of all rows as they are sent.
    var byteCount: UInt64 { sums.reduce(0) { $0.saturatingSum($1.byteCount) } }
}
