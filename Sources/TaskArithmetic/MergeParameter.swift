/// A parameter of a merge method, with the values that a job file may give it.
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

    /// The places in a job file that may give it.
    public enum Level: Equatable, Sendable {
        /// Only the job.
        case job
        /// Only the models.
        case model
        /// The job, and each model for itself. A model's own value takes precedence.
        case jobAndModel
    }

    /// The default of a parameter.
    public enum Default: Equatable, Sendable {
        /// This value.
        case value(MergeValue)
        /// None: the parameter must be given.
        case required
        /// A value that the method derives from the job, described in words.
        case derived(String)
    }

    /// The key in a job file.
    public let name: String
    /// The kind of its values.
    public let kind: Kind
    /// The default of a parameter.
    public let defaultValue: Default
    /// The places in a job file that may give it.
    public let level: Level
    /// Whether it may differ from tensor to tensor, in mergekit's grammar of filters and gradients over the depth.
    public let variesByTensor: Bool
    /// Its effect, in a few words.
    public let meaning: String

    /// Describes a parameter.
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

    /// Whether the job may give it.
    public var isOfJob: Bool { level != .model }
    /// Whether a model may give it.
    public var isOfModel: Bool { level != .job }
}

// MARK: - Parameters of several methods

extension MergeParameter {
    /// w_t, the factor of a model's vector.
    public static let weight = MergeParameter(
        "weight", .number(.any), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
        meaning: "factor w_t of the model; negative for negation")

    /// α, the factor of the merged vector.
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

    /// The seed of a method's random numbers.
    public static let randomSeed = MergeParameter(
        "random_seed", .count(0...Int.max), default: .value(.count(0)), level: .job, variesByTensor: false,
        meaning: "seed of the random numbers, which the names of the model and of the tensor complete")

    /// Keys of mergekit that a job may have without effect.
    ///
    /// `int8_mask` changes no result in mergekit either: it only chose scratch memory.
    public static let acceptedWithoutEffect = ["int8_mask"]

    /// Parameters of mergekit's methods that kfacd does not have.
    ///
    /// In mergekit, too, methods ignore the parameters of other methods.
    public static let mergekitNames: Set<String> = ["tukey_fence"]
}

/// The range of a parameter's numbers.
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

    /// The largest magnitude of any number: sums and products of a few such numbers stay finite in fp64.
    ///
    /// A sum of weights that overflows would divide every vector to nothing.
    public static let largestMagnitude = 1e30

    /// Every number up to ``largestMagnitude``.
    public static let any = NumberRange(nil, nil)
    /// At least the number.
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
        guard value.magnitude <= Self.largestMagnitude else { return false }
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
    /// The expected values, for messages and documents.
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

    /// The default, for documents.
    public var defaultText: String {
        switch defaultValue {
        case .value(let value): value.description
        case .required: "none: required"
        case .derived(let words): words
        }
    }
}
