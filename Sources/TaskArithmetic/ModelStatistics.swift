/// Numbers of the whole model that a method needs before it merges any part: a norm, a cosine, a threshold.
///
/// In each round, one value measures each block or tensor that is merged, as far as any model takes part. The parts'
/// numbers are combined in a tree that the plan fixes. The result is known to the next round, and after the last one to
/// every merge (``MergeProblem/statistics``). A threshold, for example, takes one round for each digit.
public protocol ModelStatistics: ModelPasses, ~Copyable {
    /// The number of rounds; the current round is the number of lists in ``MergeProblem/statistics``.
    static var rounds: Int { get }

    /// The parameter that asks for them; `nil` if the method always needs them.
    static var condition: StatisticsCondition? { get }

    /// Makes the numbers of the part, after the last pass; at most ``ModelStatisticsLimits/numbers``.
    ///
    /// - Throws: ``TaskArithmeticError`` when there are none; the sums are gone.
    consuming func finish() throws(TaskArithmeticError) -> [Double]

    /// Combines the numbers of several parts, in the plan's order; also called for combined numbers.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for lists that do not fit each other.
    static func combined(_ parts: [[Double]], round: Int) throws(TaskArithmeticError) -> [Double]
}

extension ModelStatistics where Self: ~Copyable {
    /// None: the method always needs them.
    public static var condition: StatisticsCondition? { nil }

    /// The sums, number by number: right for squared norms, inner products and counts.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for lists of different lengths.
    public static func combined(_ parts: [[Double]], round: Int) throws(TaskArithmeticError) -> [Double] {
        guard var sums = parts.first else { return [] }
        for part in parts.dropFirst() {
            guard part.count == sums.count else {
                throw .unexpectedOperands("statistics of \(sums.count) and of \(part.count) numbers")
            }
            for index in sums.indices { sums[index] += part[index] }
        }
        return sums
    }
}

/// A value of a job's parameter with which a method needs statistics.
public struct StatisticsCondition: Equatable, Sendable {
    /// The parameter, which does not vary by tensor.
    public let parameter: MergeParameter
    /// The value.
    public let value: MergeValue

    /// Describes a condition.
    public init(_ parameter: MergeParameter, is value: MergeValue) {
        self.parameter = parameter
        self.value = value
    }
}

/// Bounds of statistics.
public enum ModelStatisticsLimits {
    /// The most numbers of a list.
    ///
    /// The results of units are kept in memory and in the journal.
    public static let numbers = 4096
}
