/// One parameter of a merge method: what a job file may write for it.
public struct MergeParameter: Equatable, Sendable {
    /// The kind of its values.
    public enum Kind: Equatable, Sendable {
        /// A finite number.
        case number(NumberRange)
        /// True or false.
        case truth
        /// A whole number.
        case count(ClosedRange<Int>)
        /// One of some words.
        case word([String])
    }

    /// Who may give it.
    public enum Level: Equatable, Sendable {
        /// The job.
        case job
        /// Each model.
        case model
        /// The job, and a model for itself: its own precedes the job's.
        case jobAndModel
    }

    /// What holds where nobody gives it.
    public enum Default: Equatable, Sendable {
        /// This value.
        case value(MergeValue)
        /// Nothing: it must be given.
        case required
        /// What the method derives from the job, in words.
        case derived(String)
    }

    /// The key in a job file.
    public let name: String
    /// The kind of its values.
    public let kind: Kind
    /// What holds where nobody gives it.
    public let defaultValue: Default
    /// Who may give it.
    public let level: Level
    /// Whether it may differ from tensor to tensor, in mergekit's grammar of filters and gradients over the depth.
    public let variesByTensor: Bool
    /// What it does, in a few words.
    public let meaning: String

    /// Writes a parameter down.
    public init(
        _ name: String, _ kind: Kind, default defaultValue: Default, level: Level, variesByTensor: Bool,
        meaning: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.level = level
        self.variesByTensor = variesByTensor
        self.meaning = meaning
    }

    /// Whether the job's parameters may hold it.
    public var isOfJob: Bool { level != .model }
    /// Whether a model's parameters may hold it.
    public var isOfModel: Bool { level != .job }
}

// MARK: - What methods share

extension MergeParameter {
    /// w_t: what a model's vector is multiplied with.
    public static let weight = MergeParameter(
        "weight", .number(.any), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "factor w_t of the model; negative for negation")

    /// α: what the merged vector is multiplied with.
    public static let lambda = MergeParameter(
        "lambda", .number(.any), default: .value(.number(1)), level: .job, variesByTensor: true,
        meaning: "factor α of the merged vector")

    /// Whether weights are divided by their sum.
    public static func normalize(default isOn: Bool) -> MergeParameter {
        MergeParameter(
            normalizeName, .truth, default: .value(.truth(isOn)), level: .job, variesByTensor: true,
            meaning: "whether weights are divided by their sum")
    }

    /// The key of ``normalize(default:)``.
    public static let normalizeName = "normalize"

    /// Keys of mergekit that are taken at the job's level and change nothing, there or here: `int8_mask` only chose
    /// mergekit's scratch memory.
    public static let acceptedWithoutEffect = ["int8_mask"]

    /// Parameters of mergekit's methods that are not offered here: mergekit's other methods ignore them too.
    public static let mergekitNames: Set<String> = [
        "density", "epsilon", "filter_wise", "gamma", "max_iter", "nuslerp_flatten", "nuslerp_row_wise", "rescale",
        "select_topk", "t", "tol", "tukey_fence",
    ]
}

/// Which numbers a parameter may have.
public struct NumberRange: Equatable, Sendable {
    private let lowest: Double?
    private let highest: Double?
    private let includesLowest: Bool
    private let includesHighest: Bool

    private init(_ lowest: Double?, _ highest: Double?, includesLowest: Bool = true, includesHighest: Bool = true) {
        self.lowest = lowest
        self.highest = highest
        self.includesLowest = includesLowest
        self.includesHighest = includesHighest
    }

    /// Every finite number.
    public static let any = NumberRange(nil, nil)
    /// At least so much.
    public static func from(_ lowest: Double) -> NumberRange { NumberRange(lowest, nil) }
    /// Between two numbers, both included.
    public static func from(_ lowest: Double, to highest: Double) -> NumberRange { NumberRange(lowest, highest) }
    /// More than the first number and at most the second.
    public static func above(_ lowest: Double, to highest: Double? = nil) -> NumberRange {
        NumberRange(lowest, highest, includesLowest: false)
    }
    /// More than the first number and less than the second.
    public static func between(_ lowest: Double, _ highest: Double) -> NumberRange {
        NumberRange(lowest, highest, includesLowest: false, includesHighest: false)
    }

    /// Whether a number is in the range.
    public func contains(_ value: Double) -> Bool {
        guard value.isFinite else { return false }
        let isAbove = lowest.map { includesLowest ? value >= $0 : value > $0 } ?? true
        let isBelow = highest.map { includesHighest ? value <= $0 : value < $0 } ?? true
        return isAbove && isBelow
    }

    /// `a number above 0, at most 1`.
    public var description: String {
        let bounds = [
            lowest.map { "\(includesLowest ? "at least" : "above") \(MergeValue.number($0))" },
            highest.map { "\(includesHighest ? "at most" : "below") \(MergeValue.number($0))" },
        ].compactMap { $0 }
        return bounds.isEmpty ? "a number" : "a number \(bounds.joined(separator: " and "))"
    }
}

extension MergeParameter {
    /// What is expected of a value, for messages and documents.
    public var expectation: String {
        switch kind {
        case .number(let range): range.description
        case .truth: "true or false"
        case .count(let range):
            range.upperBound == .max
                ? "a whole number of at least \(range.lowerBound)"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .word(let words): "one of \(words.joined(separator: ", "))"
        }
    }

    /// What holds where nobody gives it, for documents.
    public var defaultText: String {
        switch defaultValue {
        case .value(let value): value.description
        case .required: "none: required"
        case .derived(let words): words
        }
    }
}
