public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a factor file: the Kronecker factors of one task.
///
/// Source: DESIGN section 3 and 2.1. Factors are not damped.
public struct FactorsMetadata: Equatable, Sendable {
    /// The task, if the file states it.
    public var task: TaskName?
    /// N_t by layer or parameter; other programs write one number for all.
    public var sampleCounts: Counts
    /// The input rows behind A and B, by layer; nil if the file does not state them.
    ///
    /// A layer with 0 rows has no factors: nothing of the task reached it.
    public var rowCounts: Counts?
    /// `tak`, `expand` or `reduce`; nil if the file does not state it.
    public var normalization: String?
    /// Whether A's last row and column belong to the bias, by layer; empty if the file does not state it.
    public var hasBias: [String: Bool]
    /// w_t, if it differs from the sample count.
    public var weight: Double?
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?
    /// The order of the dimensions of the base's weights, by layer, where the file declares it.
    public var layouts: [String: WeightLayout] = [:]
    /// The captured layers that use a layer's weight, where its factors are the sum over several.
    public var uses: [String: [String]] = [:]

    /// A count of a factor set.
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

        /// The counts as a file holds them.
        fileprivate var text: String {
            switch self {
            case .all(let count): String(count)
            case .each(let counts): JSONValue.sortedObject(counts) { .number(String($0)) }.text()
            }
        }
    }

    /// Describes a factor set.
    public init(
        task: TaskName?,
        sampleCounts: Counts,
        rowCounts: Counts? = nil,
        normalization: String?,
        hasBias: [String: Bool] = [:],
        weight: Double? = nil,
        baseDigest: BlobDigest? = nil
    ) {
        self.task = task
        self.sampleCounts = sampleCounts
        self.rowCounts = rowCounts
        self.normalization = normalization
        self.hasBias = hasBias
        self.weight = weight
        self.baseDigest = baseDigest
    }

    /// Reads a file's metadata.
    ///
    /// - Throws: ``JobFileError`` for another `format`, missing samples, or a value of the wrong type.
    public init(parsing metadata: [String: String], file: FilePath) throws(JobFileError) {
        let reader = MetadataReader(metadata: metadata, file: file)
        try reader.requireFormat(.factors)
        self.task = metadata[MetadataKey.task].map(TaskName.init(rawValue:))
        self.sampleCounts = try Self.sampleCounts(reader)
        self.rowCounts = try Self.rowCounts(reader)
        self.normalization = metadata[MetadataKey.normalization]
        self.hasBias = try reader.object(MetadataKey.bias, "an object of true and false", \.boolValue) ?? [:]
        self.weight = try reader.number(MetadataKey.weight)
        self.baseDigest = try reader.digest(MetadataKey.baseDigest)
        self.layouts = try reader.layouts()
        self.uses =
            try reader.object(MetadataKey.uses, "an object of lists of layers, by layer", \.strings) ?? [:]
    }

    private static func rowCounts(_ reader: MetadataReader) throws(JobFileError) -> Counts? {
        guard let text = reader.metadata[MetadataKey.rows] else { return nil }
        let expected = "a whole number of at least 1, or an object of whole numbers by layer"
        guard let count = Int(text) else {
            return .each(try reader.object(MetadataKey.rows, expected, \.count) ?? [:])
        }
        guard count > 0 else { throw reader.invalid(MetadataKey.rows, expected) }
        return .all(count)
    }

    private static func sampleCounts(_ reader: MetadataReader) throws(JobFileError) -> Counts {
        let expected = "a whole number of at least 1, or an object of such numbers"
        let text = try reader.required(MetadataKey.samples, expected)
        if let count = Int(text) {
            guard count != 0 else { throw .zeroSamples(file: reader.file) }
            guard count > 0 else { throw reader.invalid(MetadataKey.samples, expected) }
            return .all(count)
        }
        let counts = try reader.object(MetadataKey.samples, expected, \.positiveInteger)
        return .each(counts ?? [:])
    }

    /// The metadata as the strings of a file.
    public var strings: [String: String] {
        var strings = [
            MetadataKey.format: FormatVersion.factors.description,
            MetadataKey.damping: "none",
            MetadataKey.bias: JSONValue.sortedObject(hasBias, JSONValue.bool).text(),
        ]
        strings[MetadataKey.samples] = sampleCounts.text
        strings[MetadataKey.rows] = rowCounts?.text
        strings[MetadataKey.task] = task?.rawValue
        strings[MetadataKey.normalization] = normalization
        strings[MetadataKey.weight] = weight.map { String($0) }
        strings[MetadataKey.baseDigest] = baseDigest?.description
        strings[MetadataKey.layout] = layouts.metadataText
        if !uses.isEmpty {
            strings[MetadataKey.uses] =
                JSONValue.sortedObject(uses) { .array($0.sorted().map(JSONValue.string)) }.text()
        }
        return strings
    }
}
