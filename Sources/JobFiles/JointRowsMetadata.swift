import JSONText

/// What the metadata of a file with joint rows states about them.
///
/// Source: DESIGN section 3.
public struct JointRowsMetadata: Equatable, Sendable {
    /// A number for each side.
    public struct Sides<Value: Equatable & Sendable>: Equatable, Sendable {
        /// That of the inputs.
        public var inputs: Value
        /// That of the gradients.
        public var gradients: Value

        /// Names two numbers.
        public init(inputs: Value, gradients: Value) {
            self.inputs = inputs
            self.gradients = gradients
        }
    }

    /// The rows that the file holds.
    public var ranks: Sides<Int>
    /// The share of the trace of the weighted Gram matrix that they keep.
    public var kept: Sides<Double>
    /// `complement`, `none` or a number.
    public var floor: String

    /// Describes joint rows.
    public init(ranks: Sides<Int>, kept: Sides<Double>, floor: String) {
        self.ranks = ranks
        self.kept = kept
        self.floor = floor
    }

    /// Reads a file's values; nil if the file states no ranks.
    ///
    /// - Throws: ``JobFileError`` for a missing value, or a value of the wrong type.
    init?(_ reader: MetadataReader) throws(JobFileError) {
        let words = "an object with \"inputs\" and \"gradients\""
        guard let ranks = try reader.object(MetadataKey.ranks, words, \.finiteNumber) else { return nil }
        let kept = try reader.object(MetadataKey.kept, words, \.finiteNumber) ?? [:]
        guard let inputs = ranks["inputs"].flatMap({ Int(exactly: $0) }),
            let gradients = ranks["gradients"].flatMap({ Int(exactly: $0) }), inputs >= 0, gradients >= 0
        else { throw reader.invalid(MetadataKey.ranks, words) }
        guard let keptInputs = kept["inputs"], let keptGradients = kept["gradients"] else {
            throw reader.invalid(MetadataKey.kept, words)
        }
        self.init(
            ranks: Sides(inputs: inputs, gradients: gradients),
            kept: Sides(inputs: keptInputs, gradients: keptGradients),
            floor: try reader.required(MetadataKey.floor, "\"complement\", \"none\" or a number"))
    }

    /// The values as the strings of a file.
    var strings: [String: String] {
        func text<Value>(_ sides: Sides<Value>) -> String {
            JSONValue.object([
                .init("inputs", .number("\(sides.inputs)")), .init("gradients", .number("\(sides.gradients)")),
            ]).text()
        }
        return [MetadataKey.ranks: text(ranks), MetadataKey.kept: text(kept), MetadataKey.floor: floor]
    }
}
