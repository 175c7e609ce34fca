public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a partials file: sums of outer products over the rows of one rank, up to one flush.
///
/// A training run has one process for each rank. Each process sums its rows, and writes the sums from time to time: a
/// flush. The sums begin anew after a flush, so every row is in one file. Source: DESIGN section 3.
public struct PartialsMetadata: Equatable, Sendable {
    /// The words of ``normalization``.
    public static let normalizations = ["tak", "expand", "reduce"]
    private static let expectedCounts = "a whole number, or an object of such numbers"

    /// The task whose rows were summed.
    public var task: TaskName
    /// The run that wrote the file; it distinguishes the run from all others.
    public var run: String
    /// The process of the run, from 0.
    public var rank: Int
    /// The number of flushes that the rank wrote before.
    public var sequence: Int
    /// Rows of each layer's input; nil in a file without layers.
    public var rowCounts: OwnerCounts?
    /// Samples of each layer and parameter.
    public var sampleCounts: OwnerCounts
    /// M, at least 1.
    public var probeCount: Int
    /// What was summed: for `reduce` the rows of a sample were reduced before, for `tak` and `expand` they were not.
    public var normalization: String
    /// Whether A's last row and column belong to the bias, by layer.
    public var hasBias: [String: Bool]
    /// How a layer's weight is stored, by layer; layers without an entry have ``WeightLayout/outIn``.
    public var layouts: [String: WeightLayout]
    /// The sums of which the file holds the diagonal only.
    public var diagonals: Set<CurvatureTensorName> = []
    /// Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes, by layer; empty if the file states none.
    public var exactTraces: [String: Double] = [:]
    /// The joint rows of the file's samples; nil if it has none.
    public var jointRows: JointRowsMetadata?
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?

    /// Describes partial sums.
    public init(
        task: TaskName, run: String, rank: Int, sequence: Int, rowCounts: OwnerCounts?, sampleCounts: OwnerCounts,
        probeCount: Int = 1, normalization: String, hasBias: [String: Bool], layouts: [String: WeightLayout] = [:],
        baseDigest: BlobDigest? = nil
    ) {
        self.task = task
        self.run = run
        self.rank = rank
        self.sequence = sequence
        self.rowCounts = rowCounts
        self.sampleCounts = sampleCounts
        self.probeCount = probeCount
        self.normalization = normalization
        self.hasBias = hasBias
        self.layouts = layouts
        self.baseDigest = baseDigest
    }

    /// Reads a file's metadata.
    ///
    /// - Throws: ``JobFileError`` for another `format`, a missing value, or a value of the wrong type.
    public init(parsing metadata: [String: String], file: FilePath) throws(JobFileError) {
        let reader = MetadataReader(metadata: metadata, file: file)
        if let problem = FormatVersion.partials.problem(with: metadata[MetadataKey.format]) {
            throw .wrongFormat(file: file, problem)
        }
        let task = try reader.required(MetadataKey.task, "the task whose rows were summed")
        let run = try reader.required(MetadataKey.run, "the name of the run")
        guard RunName(rawValue: run).isValid else { throw reader.invalid(MetadataKey.run, RunName.requirement) }
        let words = Self.normalizations.joined(separator: ", ")
        let normalization = try reader.required(MetadataKey.normalization, "one of \(words)")
        guard Self.normalizations.contains(normalization) else {
            throw reader.invalid(MetadataKey.normalization, "one of \(words)")
        }
        guard let samples = try reader.counts(MetadataKey.samples, Self.expectedCounts) else {
            throw .metadataMissing(file: file, key: MetadataKey.samples, expected: Self.expectedCounts)
        }
        guard let probes = try reader.positiveInteger(MetadataKey.probes) else {
            throw .metadataMissing(file: file, key: MetadataKey.probes, expected: "the number of probes")
        }
        self.init(
            task: TaskName(rawValue: task), run: run, rank: try reader.number(of: MetadataKey.processRank),
            sequence: try reader.number(of: MetadataKey.sequence),
            rowCounts: try reader.counts(MetadataKey.rows, Self.expectedCounts), sampleCounts: samples,
            probeCount: probes, normalization: normalization,
            hasBias: try reader.object(MetadataKey.bias, "an object of true and false", \.boolValue) ?? [:],
            layouts: try reader.layouts(), baseDigest: try reader.digest(MetadataKey.baseDigest))
        diagonals = try reader.diagonals()
        exactTraces =
            try reader.object(
                MetadataKey.exactTrace, "an object of numbers of at least 0 by layer", \.nonNegativeNumber) ?? [:]
        jointRows = try JointRowsMetadata(ofTask: reader)
    }

    /// The metadata as the strings of a file.
    public var strings: [String: String] {
        var strings = [
            MetadataKey.format: FormatVersion.partials.description,
            MetadataKey.task: task.rawValue,
            MetadataKey.run: run,
            MetadataKey.processRank: String(rank),
            MetadataKey.sequence: String(sequence),
            MetadataKey.samples: sampleCounts.text,
            MetadataKey.probes: String(probeCount),
            MetadataKey.normalization: normalization,
            MetadataKey.bias: JSONValue.sortedObject(hasBias, JSONValue.bool).text(),
        ]
        strings[MetadataKey.rows] = rowCounts?.text
        if !exactTraces.isEmpty {
            strings[MetadataKey.exactTrace] = JSONValue.sortedObject(exactTraces) { .number(String($0)) }.text()
        }
        strings[MetadataKey.layout] = layouts.metadataText
        strings[MetadataKey.diagonal] = diagonals.metadataText
        strings[MetadataKey.jointRows] = jointRows?.textOfTask
        strings[MetadataKey.baseDigest] = baseDigest?.description
        return strings
    }
}

extension MetadataReader {
    /// A whole number of at least 0 in decimal digits.
    fileprivate func number(of key: String) throws(JobFileError) -> Int {
        let expected = "a whole number from 0 on"
        let text = try required(key, expected)
        guard let number = text.wholeNumber, number < PartialsPlace.numberMax else { throw invalid(key, expected) }
        return number
    }
}
