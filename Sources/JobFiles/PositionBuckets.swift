import JSONText

/// How the positions of joint rows were pooled: by the centroids of a codebook, into as many rows of each sample.
///
/// The service makes no codebooks. Owners whose samples have different lengths pool positions while they collect.
///
/// Source: DESIGN section 2.2, joint form.
public struct PositionBuckets: Equatable, Sendable {
    /// The digest of the codebook, by which equal ones are known.
    public var codebook: String
    /// The layers whose positions are pooled; others have all positions.
    public var layers: Set<String>
    /// Of a regularizer: the rows of a sample that A divides by, for each of these layers.
    public var rowsPerSample: [String: Double]

    /// Describes pooled positions.
    public init(codebook: String, layers: Set<String>, rowsPerSample: [String: Double] = [:]) {
        self.codebook = codebook
        self.layers = layers
        self.rowsPerSample = rowsPerSample
    }

    /// A pooling in a message.
    static func words(_ buckets: PositionBuckets?) -> String {
        guard let buckets else { return "none" }
        let count = buckets.layers.count
        return "by the codebook \"\(buckets.codebook.prefix(12))\" in \(count) layer\(count == 1 ? "" : "s")"
    }

    /// What a factor file must state.
    static let words = "an object of \"codebook\", a text, and \"layers\", a list of layers"
    /// What a regularizer must state.
    static let wordsOfRegularizer =
        "an object of \"codebook\", a text, and \"rows\", the rows of a sample by layer, above 0"

    /// Reads the statement of a factor file; nil for another value.
    init?(ofFactors value: JSONValue) {
        guard let codebook = value["codebook"]?.stringValue, let layers = value["layers"]?.strings else { return nil }
        self.init(codebook: codebook, layers: Set(layers))
    }

    /// Reads the statement of a regularizer; nil for another value.
    init?(ofRegularizer members: [String: JSONValue]) {
        guard let codebook = members["codebook"]?.stringValue, let rows = members["rows"]?.members else { return nil }
        self.init(codebook: codebook, layers: [])
        for member in rows {
            guard let number = member.value.positiveNumber else { return nil }
            rowsPerSample[member.key] = number
        }
        layers = Set(rowsPerSample.keys)
    }

    /// The statement of a factor file.
    var json: JSONValue {
        .object([
            .init("codebook", .string(codebook)), .init("layers", .array(layers.sorted().map(JSONValue.string))),
        ])
    }

    /// The statement of a regularizer.
    var jsonOfRegularizer: JSONValue {
        .object([
            .init("codebook", .string(codebook)),
            .init("rows", .sortedObject(rowsPerSample) { .number(String($0)) }),
        ])
    }
}
