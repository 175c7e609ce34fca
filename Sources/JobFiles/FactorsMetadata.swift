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
    public var sampleCounts: OwnerCounts
    /// The input rows behind A and B, by layer; nil if the file does not state them.
    ///
    /// A layer with 0 rows has no factors: nothing of the task reached it.
    public var rowCounts: OwnerCounts?
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
    /// The scalar that gives B the layer's exact trace, by layer; empty if the file states none.
    public var balances: [String: Double] = [:]
    /// The joint rows of the file; nil if it has none.
    public var jointRows: JointRowsMetadata?

    /// Describes a factor set.
    public init(
        task: TaskName?,
        sampleCounts: OwnerCounts,
        rowCounts: OwnerCounts? = nil,
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
        self.balances =
            try reader.object(MetadataKey.balance, "an object of numbers above 0 by layer", \.positiveNumber)
            ?? [:]
        self.jointRows = try JointRowsMetadata(ofTask: reader)
    }

    private static func rowCounts(_ reader: MetadataReader) throws(JobFileError) -> OwnerCounts? {
        let expected = "a whole number of at least 1, or an object of whole numbers by layer"
        let counts = try reader.counts(MetadataKey.rows, expected)
        if case .all(0) = counts { throw reader.invalid(MetadataKey.rows, expected) }
        return counts
    }

    private static func sampleCounts(_ reader: MetadataReader) throws(JobFileError) -> OwnerCounts {
        let expected = "a whole number of at least 1, or an object of such numbers"
        switch try reader.counts(MetadataKey.samples, expected) {
        case nil: throw .metadataMissing(file: reader.file, key: MetadataKey.samples, expected: expected)
        case .all(0): throw .zeroSamples(file: reader.file)
        case .each(let counts) where counts.values.contains(0): throw reader.invalid(MetadataKey.samples, expected)
        case let counts?: return counts
        }
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
        strings[MetadataKey.jointRows] = jointRows?.textOfTask
        if !uses.isEmpty {
            strings[MetadataKey.uses] =
                JSONValue.sortedObject(uses) { .array($0.sorted().map(JSONValue.string)) }.text()
        }
        if !balances.isEmpty {
            strings[MetadataKey.balance] = JSONValue.sortedObject(balances) { .number(String($0)) }.text()
        }
        return strings
    }
}
