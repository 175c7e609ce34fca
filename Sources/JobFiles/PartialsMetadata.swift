public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a partials file: sums of outer products over the rows of one rank, up to one flush.
///
/// A training run has one process for each rank. Each process sums its rows, and writes the sums from time to time: a
/// flush. The sums begin anew after a flush, so every row is in one file. Source: DESIGN section 3.
public struct PartialsMetadata: Equatable, Sendable {
    /// Counts of rows or samples.
    public enum Counts: Equatable, Sendable {
        /// The same for every layer and parameter.
        case all(Int)
        /// By layer or parameter.
        case each([String: Int])

        /// The count of one layer or parameter, or nil.
        public subscript(owner: String) -> Int? {
            switch self {
            case .all(let count): count
            case .each(let counts): counts[owner]
            }
        }
    }

    /// The words of ``normalization``.
    public static let normalizations = ["tak", "expand", "reduce"]
    /// The task whose rows were summed.
    public var task: TaskName
    /// The run that wrote the file; it distinguishes the run from all others.
    public var run: String
    /// The process of the run, from 0.
    public var rank: Int
    /// The number of flushes that the rank wrote before.
    public var sequence: Int
    /// Rows of each layer's input; nil in a file without layers.
    public var rowCounts: Counts?
    /// Samples of each layer and parameter.
    public var sampleCounts: Counts
    /// M, at least 1.
    public var probeCount: Int
    /// What was summed: for `reduce` the rows of a sample were reduced before, for `tak` and `expand` they were not.
    public var normalization: String
    /// Whether A's last row and column belong to the bias, by layer.
    public var hasBias: [String: Bool]
    /// How a layer's weight is stored, by layer; layers without an entry have ``WeightLayout/outIn``.
    public var layouts: [String: WeightLayout]
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?

    /// Describes partial sums.
    public init(
        task: TaskName, run: String, rank: Int, sequence: Int, rowCounts: Counts?, sampleCounts: Counts,
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
        guard let samples = try reader.counts(MetadataKey.samples) else {
            throw .metadataMissing(file: file, key: MetadataKey.samples, expected: MetadataReader.expectedCounts)
        }
        guard let probes = try reader.positiveInteger(MetadataKey.probes) else {
            throw .metadataMissing(file: file, key: MetadataKey.probes, expected: "the number of probes")
        }
        self.init(
            task: TaskName(rawValue: task), run: run, rank: try reader.number(of: MetadataKey.processRank),
            sequence: try reader.number(of: MetadataKey.sequence), rowCounts: try reader.counts(MetadataKey.rows),
            sampleCounts: samples, probeCount: probes, normalization: normalization,
            hasBias: try reader.object(MetadataKey.bias, "an object of true and false", \.boolValue) ?? [:],
            layouts: try reader.layouts(), baseDigest: try reader.digest(MetadataKey.baseDigest))
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
        if !layouts.isEmpty {
            strings[MetadataKey.layout] = JSONValue.sortedObject(layouts) { .string($0.rawValue) }.text()
        }
        strings[MetadataKey.baseDigest] = baseDigest?.description
        return strings
    }
}

extension PartialsMetadata.Counts {
    fileprivate var text: String {
        switch self {
        case .all(let count): String(count)
        case .each(let counts): JSONValue.sortedObject(counts) { .number(String($0)) }.text()
        }
    }
}

extension MetadataReader {
    fileprivate static let expectedCounts = "a whole number, or an object of such numbers"

    /// A whole number of at least 0 in decimal digits.
    fileprivate func number(of key: String) throws(JobFileError) -> Int {
        let expected = "a whole number from 0 on"
        let text = try required(key, expected)
        guard let number = text.wholeNumber, number < PartialsPlace.numberMax else { throw invalid(key, expected) }
        return number
    }

    fileprivate func counts(_ key: String) throws(JobFileError) -> PartialsMetadata.Counts? {
        guard let text = metadata[key] else { return nil }
        if let count = text.wholeNumber { return .all(count) }
        return try object(key, Self.expectedCounts, \.wholeNumber).map { .each($0) }
    }
}

extension String {
    /// The number that decimal digits alone write; nil for any other text.
    fileprivate var wholeNumber: Int? { utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(self) : nil }
}

extension JSONValue {
    /// A whole number of at least 0, if the value is one.
    fileprivate var wholeNumber: Int? {
        guard case .number(let text) = self else { return nil }
        return text.wholeNumber
    }
}
