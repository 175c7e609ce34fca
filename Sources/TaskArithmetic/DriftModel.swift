internal import LinearAlgebra

/// The predicted drift of tasks in a merged model θ_0 + Σ c_i Δ_i, which is quadratic in the coefficients c.
///
/// The drift of task j is (c − t_j)ᵀ G_j (c − t_j): the merged model's distance from the task's own model, under the
/// task's curvature. t_j is the unit vector of the task's own vector. The total is the drifts' weighted sum. So the
/// best scale of given weights is a ratio, and the best coefficients solve a small linear system.
///
/// Source: DESIGN section 2.3.
public struct DriftModel: Equatable, Sendable {
    /// A task whose drift is predicted.
    public struct Task: Equatable, Sendable {
        /// G_j.
        public var form: InterferenceForm
        /// The task's share of the total, λ_j, at least 0.
        public var share: Double
        /// t_j, `[T]`: the coefficients of the model that the task should stay at; all 0 for the base.
        public var target: [Double]

        /// Describes a task.
        public init(form: InterferenceForm, share: Double, target: [Double]) {
            self.form = form
            self.share = share
            self.target = target
        }
    }

    /// The best scale α of given weights.
    public struct Scale: Equatable, Sendable {
        /// α; 0 if no α changes the total.
        public let value: Double
        /// Whether another α has a larger total.
        public let isUnique: Bool
    }

    /// The coefficients with the least total.
    public struct Coefficients: Equatable, Sendable {
        /// c, `[T]`: of all that have the least total, those of least norm.
        public let values: [Double]
        /// Whether others have a larger total.
        public let isUnique: Bool
    }

    /// The share of the largest curvature below which a direction counts as flat.
    ///
    /// The forms are inner products in fp64 of factors that are known to fp32, so they say nothing about less.
    public static let tolerance = 1e-10

    /// The tasks.
    public let tasks: [Task]
    /// Number of task vectors, T.
    public let vectorCount: Int

    /// Combines tasks, whose forms are all over the same task vectors.
    public init(_ tasks: [Task], vectorCount: Int) {
        precondition(
            tasks.allSatisfy { $0.form.vectorCount == vectorCount && $0.target.count == vectorCount },
            "a task's form or target is not over \(vectorCount) task vectors")
        self.tasks = tasks
        self.vectorCount = vectorCount
    }

    /// The drift of a task at coefficients `[T]`; rounding gives no value below 0.
    public func drift(of task: Int, at coefficients: [Double]) -> Double {
        let away = zip(coefficients, tasks[task].target).map { $0 - $1 }
        return max(0, tasks[task].form.value(away, away))
    }

    /// Σ_j λ_j times the drift of task j.
    public func total(at coefficients: [Double]) -> Double {
        tasks.indices.reduce(0) { $0 + tasks[$1].share * drift(of: $1, at: coefficients) }
    }

    /// The α with the least total at α times the weights: Σ λ_j wᵀG_j t_j / Σ λ_j wᵀG_j w.
    public func bestScale(of weights: [Double]) -> Scale {
        var (numerator, denominator, separate) = (0.0, 0.0, 0.0)
        for task in tasks {
            numerator += task.share * task.form.value(weights, task.target)
            denominator += task.share * task.form.value(weights, weights)
            // What it would be if the vectors did not cancel.
            for (vector, weight) in weights.enumerated() {
                separate += task.share * weight * weight * task.form[vector, vector]
            }
        }
        guard denominator > Self.tolerance * separate else { return Scale(value: 0, isUnique: false) }
        return Scale(value: numerator / denominator, isUnique: true)
    }

    /// The coefficients with the least total: Σ λ_j G_j c = Σ λ_j G_j t_j.
    ///
    /// Each vector is measured in units of its own size. Directions of at most ``tolerance`` of the largest eigenvalue
    /// count as flat, and c has no part there.
    ///
    /// - Parameter fixed: By task vector, a coefficient that is given, or `nil` for one that is sought.
    /// - Returns: All coefficients.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails.
    public func bestCoefficients(fixed: [Double?]) throws(TaskArithmeticError) -> Coefficients {
        let free = fixed.indices.filter { fixed[$0] == nil }
        let start = fixed.map { $0 ?? 0 }
        guard !free.isEmpty else { return Coefficients(values: start, isUnique: true) }
        let right = free.map { row in
            tasks.reduce(0.0) { sum, task in
                let unit = start.indices.map { $0 == row ? 1.0 : 0.0 }
                return sum + task.share * task.form.value(unit, zip(task.target, start).map { $0 - $1 })
            }
        }
        do {
            var system = try Matrix<Double>(rows: free.count, columns: free.count)
            for (row, first) in free.enumerated() {
                for (column, second) in free.enumerated() {
                    system[row, column] = tasks.reduce(0) { $0 + $1.share * $1.form[first, second] }
                }
            }
            // In units of their own size, so that a small vector is not flat beside a large one.
            let sizes = free.indices.map { system[$0, $0] > 0 ? system[$0, $0].squareRoot() : 1 }
            for row in free.indices {
                for column in free.indices { system[row, column] /= sizes[row] * sizes[column] }
            }
            let eigen = try SymmetricEigen(decomposing: system)
            let least = Self.tolerance * max(0, eigen.values.max() ?? 0)
            var values = start
            var rank = 0
            for (index, eigenvalue) in eigen.values.enumerated() where eigenvalue > least {
                rank += 1
                let along =
                    free.indices.reduce(0) { $0 + eigen.vectors[index, $1] * right[$1] / sizes[$1] } / eigenvalue
                for (place, vector) in free.enumerated() {
                    values[vector] += along * eigen.vectors[index, place] / sizes[place]
                }
            }
            return Coefficients(values: values, isUnique: rank == free.count)
        } catch {
            throw .linearAlgebra(error)
        }
    }
}
