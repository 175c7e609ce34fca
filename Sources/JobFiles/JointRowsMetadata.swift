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
    /// Of a regularizer: `complement`, `none` or a number.
    public var floor: String?
    /// How positions were pooled; nil if they were not.
    public var buckets: PositionBuckets?

    /// Describes joint rows.
    public init(
        ranks: Sides<Int>, kept: Sides<Double>, floor: String? = nil, buckets: PositionBuckets? = nil
    ) {
        self.ranks = ranks
        self.kept = kept
        self.floor = floor
        self.buckets = buckets
    }

    /// Reads the values of a regularizer; nil if the file states no ranks.
    ///
    /// - Throws: ``JobFileError`` for a missing value, or a value of the wrong type.
    init?(ofRegularizer reader: MetadataReader) throws(JobFileError) {
        guard let ranks = try reader.object(MetadataKey.ranks, Self.rankWords, \.finiteNumber) else { return nil }
        let kept = try reader.object(MetadataKey.kept, Self.keptWords, \.finiteNumber) ?? [:]
        guard let foundRanks = Self.ranks(ranks) else { throw reader.invalid(MetadataKey.ranks, Self.rankWords) }
        guard let foundKept = Self.kept(kept) else { throw reader.invalid(MetadataKey.kept, Self.keptWords) }
        self.init(ranks: foundRanks, kept: foundKept)
        floor = try reader.required(MetadataKey.floor, "\"complement\", \"none\" or a number")
        guard let buckets = try reader.object(MetadataKey.buckets, PositionBuckets.wordsOfRegularizer, { $0 }) else {
            return
        }
        guard let found = PositionBuckets(ofRegularizer: buckets) else {
            throw reader.invalid(MetadataKey.buckets, PositionBuckets.wordsOfRegularizer)
        }
        self.buckets = found
    }

    /// Reads the values of a factor file or a file of partial sums; nil if it has no joint rows.
    ///
    /// - Throws: ``JobFileError`` for a value of the wrong type.
    init?(ofTask reader: MetadataReader) throws(JobFileError) {
        let words = "an object of \"ranks\", \(Self.rankWords), and \"kept\", \(Self.keptWords)"
        guard let stated = try reader.object(MetadataKey.jointRows, words, { $0 }) else { return nil }
        guard let ranks = Self.numbers(stated["ranks"]).flatMap(Self.ranks),
            let kept = Self.numbers(stated["kept"]).flatMap(Self.kept)
        else { throw reader.invalid(MetadataKey.jointRows, words) }
        self.init(ranks: ranks, kept: kept)
        guard let stated = stated["buckets"] else { return }
        guard let buckets = PositionBuckets(ofFactors: stated) else {
            throw reader.invalid(MetadataKey.jointRows, "\"buckets\" to be \(PositionBuckets.words)")
        }
        self.buckets = buckets
    }

    private static func numbers(_ value: JSONValue?) -> [String: Double]? {
        guard let members = value?.members else { return nil }
        var numbers: [String: Double] = [:]
        for member in members {
            guard let number = member.value.finiteNumber else { return nil }
            numbers[member.key] = number
        }
        return numbers
    }

    private static let rankWords = "whole numbers \"inputs\" and \"gradients\""
    private static let keptWords = "numbers \"inputs\" and \"gradients\" from 0 to 1"
    /// The largest share: a quotient of rounded sums may be above 1.
    private static let keptMax = 1 + 1e-4

    private static func ranks(_ members: [String: Double]) -> Sides<Int>? {
        guard let inputs = members["inputs"].flatMap({ Int(exactly: $0) }),
            let gradients = members["gradients"].flatMap({ Int(exactly: $0) }), inputs >= 0, gradients >= 0
        else { return nil }
        return Sides(inputs: inputs, gradients: gradients)
    }

    private static func kept(_ members: [String: Double]) -> Sides<Double>? {
        guard let inputs = members["inputs"], let gradients = members["gradients"],
            [inputs, gradients].allSatisfy({ (0...keptMax).contains($0) })
        else { return nil }
        return Sides(inputs: inputs, gradients: gradients)
    }

    /// The values as the strings of a regularizer.
    var stringsOfRegularizer: [String: String] {
        var strings = [
            MetadataKey.ranks: Self.value(ranks) { "\($0)" }.text(),
            MetadataKey.kept: Self.value(kept) { "\($0)" }.text(),
        ]
        strings[MetadataKey.floor] = floor
        strings[MetadataKey.buckets] = buckets?.jsonOfRegularizer.text()
        return strings
    }

    /// The values as a string of a factor file or a file of partial sums.
    var textOfTask: String {
        JSONValue.object(
            [.init("ranks", Self.value(ranks) { "\($0)" }), .init("kept", Self.value(kept) { "\($0)" })]
                + (buckets.map { [.init("buckets", $0.json)] } ?? [])
        ).text()
    }

    private static func value<Value>(_ sides: Sides<Value>, _ text: (Value) -> String) -> JSONValue {
        .object([
            .init("inputs", .number(text(sides.inputs))), .init("gradients", .number(text(sides.gradients))),
        ])
    }
}
