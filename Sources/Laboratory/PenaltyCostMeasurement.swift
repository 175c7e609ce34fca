import ReferenceModel

/// Measures the time of a penalty's gradient by the number of tasks.
///
/// It is constant for the accumulated form, and linear for the per-task form.
public enum PenaltyCostMeasurement {
    /// The cost for one number of tasks, in microseconds for one evaluation on one thread.
    public struct Cost: Equatable, Sendable {
        /// The tasks of the job; each is protected against the others.
        public let taskCount: Int
        /// Equation 8.
        public fileprivate(set) var accumulatedMicroseconds = Double.infinity
        /// The optimal form of rank 2.
        public fileprivate(set) var optimalMicroseconds = Double.infinity
        /// Equation 7.
        public fileprivate(set) var perTaskMicroseconds = Double.infinity
    }

    /// The numbers of tasks in the figures.
    public static let taskCounts = [2, 4, 8, 16, 32, 64]

    /// Measures the time of the gradient for a model.
    ///
    /// - Parameters:
    ///   - base: The model whose layer sizes the factors have. The factors are synthetic, because their values do not
    ///     matter.
    ///   - taskCounts: The numbers of tasks, each at least 2.
    ///   - repetitions: The number of repetitions of each measurement.
    /// - Returns: One entry for each number of tasks: the best of several interleaved repetitions.
    public static func run(
        _ base: BaseModel, taskCounts: [Int] = taskCounts, repetitions: Int = 15
    ) -> [Cost] {
        // A penalty sums the factors of all tasks but the trained one.
        let perTask = taskCounts.map { CurvaturePenalty.synthetic(base.layout, taskCount: $0 - 1) }
        let accumulated = perTask.map { $0.accumulated(termCount: 1) }
        let optimal = perTask.map { $0.accumulated(termCount: 2) }
        var costs = taskCounts.map { Cost(taskCount: $0) }
        var timing = PenaltyTiming(parameterCount: base.layout.count)
        for _ in 0..<repetitions {
            for index in taskCounts.indices {
                costs[index].accumulatedMicroseconds = min(
                    costs[index].accumulatedMicroseconds, timing.microseconds(accumulated[index]))
                costs[index].optimalMicroseconds = min(
                    costs[index].optimalMicroseconds, timing.microseconds(optimal[index]))
                costs[index].perTaskMicroseconds = min(
                    costs[index].perTaskMicroseconds, timing.microseconds(perTask[index]))
            }
        }
        return costs
    }
}

/// Buffers of the timing.
private struct PenaltyTiming {
    private let vector: [Float]
    private var gradient: [Float]
    private var scratch = PenaltyScratch()

    init(parameterCount: Int) {
        vector = [Float](repeating: 0.01, count: parameterCount)
        gradient = [Float](repeating: 0, count: parameterCount)
    }

    mutating func microseconds(_ penalty: CurvaturePenalty) -> Double {
        let start = ContinuousClock.now
        _ = penalty.addGradient(at: vector, scale: 1, to: &gradient, scratch: &scratch)
        return (ContinuousClock.now - start) / .microseconds(1)
    }
}
