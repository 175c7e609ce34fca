public import LinearAlgebra

/// The magnitude that the k-th largest element of each model's whole vector has, digit by digit.
///
/// k is the density times the number of merged elements, truncated. Magnitudes are compared in fp32. All elements of
/// the k-th magnitude are kept, as in the paper's code.
///
/// Source: Yadav et al. 2023 (arXiv 2306.01708).
public struct TrimStatistics: ModelStatistics, ~Copyable {
    /// The lowest bit of each round's digit of the pattern.
    private static let shifts: [UInt32] = [23, 15, 7, 0]
    private static let digitBits: UInt32 = 8
    private static let digitCount = 256

    /// The most models; a list has a count of each digit for each model.
    public static let modelLimit = ModelStatisticsLimits.numbers / digitCount

    private let problem: MergeProblem
    private var counts: [Double]
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// Empty counts.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for too many models.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let places = problem.models.map(\.place).max() ?? 0
        guard places <= Self.modelLimit, !problem.models.contains(where: { $0.place < 1 }) else {
            throw .unexpectedOperands("a model at place \(places)")
        }
        self.problem = problem
        counts = [Double](repeating: 0, count: places * Self.digitCount)
    }

    /// One for each digit.
    public static var rounds: Int { shifts.count }

    /// Only with `scope: model`.
    public static var condition: StatisticsCondition? { StatisticsCondition(.trimScope, is: .word("model")) }

    /// Counts the next digit of the elements whose leading digits are the k-th magnitude's.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for statistics of other rounds.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let round = problem.statistics.count
        guard round < Self.rounds else { throw .unexpectedOperands("\(round) rounds of statistics") }
        let prefix = try Self.prefix(of: model, problem.statistics)
        let shift = Self.shifts[round]
        let above = round == 0 ? 31 : Self.shifts[round - 1]
        let (mask, first) = ((UInt32(1) << (above - shift)) - 1, (model.place - 1) * Self.digitCount)
        values.withSpan { values in
            for index in values.indices {
                let key = Float(values[index].magnitude).bitPattern
                if key >> above == prefix >> above { counts[first + Int((key >> shift) & mask)] += 1 }
            }
        }
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// The counts of each digit, model by model.
    public consuming func finish() -> [Double] { counts }

    /// The sums; a part that lacks the last models has a shorter list.
    public static func combined(_ parts: [[Double]], round: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: parts.map(\.count).max() ?? 0)
        for part in parts { for index in part.indices { sums[index] += part[index] } }
        return sums
    }

    /// The smallest magnitude of a model that is kept, after all rounds.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for lists that do not have the model.
    static func threshold(of model: MergedModel, _ statistics: [[Double]]) throws(TaskArithmeticError) -> Float {
        guard statistics.count == rounds else {
            throw .unexpectedOperands("\(statistics.count) rounds of statistics")
        }
        return Float(bitPattern: try prefix(of: model, statistics))
    }

    /// The leading digits of the k-th magnitude that the finished rounds tell.
    private static func prefix(of model: MergedModel, _ statistics: [[Double]]) throws(TaskArithmeticError) -> UInt32 {
        let places = (model.place - 1) * digitCount..<model.place * digitCount
        guard places.lowerBound >= 0, statistics.allSatisfy({ $0.count >= places.upperBound }) else {
            throw .unexpectedOperands("statistics without the model at place \(model.place)")
        }
        guard let elements = statistics.first?[places].reduce(0, +) else { return 0 }
        var remaining = max(1, (try model.arguments.number(.density) * elements).rounded(.towardZero))
        var prefix: UInt32 = 0
        for (counts, shift) in zip(statistics, shifts) {
            var digit = digitCount - 1
            while digit > 0, counts[places.lowerBound + digit] < remaining {
                remaining -= counts[places.lowerBound + digit]
                digit -= 1
            }
            prefix |= UInt32(digit) << shift
        }
        return prefix
    }

    /// The cost: one comparison for an element of each model.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 4 * Double(models) * elements, numbers: 2 * elements + 4096, factorPasses: 0, valuePasses: 1)
    }
}
