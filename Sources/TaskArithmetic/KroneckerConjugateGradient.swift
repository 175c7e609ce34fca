public import KroneckerFactors
public import LinearAlgebra

/// Solves Σ λ_t B_t Δ A_t + εΔ = Σ λ_t B_t Δ_t A_t + εM by conjugate gradients (Hestenes & Stiefel 1952), in fp64.
///
/// M = Σ λ_t Δ_t is the weighted mean. The iteration starts at M. Equal vectors, or equal factors, need no step. The
/// preconditioner is the damped inverse of the accumulated factors, B̄ ⊗ Ā, as `kfac` has it. Where the equations have
/// one solution, it decides only how many steps are needed. Without a ridge they leave free what no task's product of
/// factors sees; there the preconditioner also decides how far the steps go from M. A ridge pulls it to M.
///
/// Each step reads the factors of all tasks in a pass. The recursive residual drifts from the true one, so a solution
/// counts only after a pass that computes the true one. If that is still too large, the iteration starts again there.
public struct KroneckerConjugateGradient: ~Copyable, Sendable {
    private enum Stage {
        case vectors, residual, descent, done
    }

    private let outputs: DampedFactorization
    private let inputs: DampedFactorization
    private let ridge: Double
    private let tolerance: Double
    private let bound: Int
    private var stage = Stage.vectors
    private var steps = 0
    private var rightNorm = 0.0
    private var meanNorm = 0.0
    private var relativeResidual = 0.0
    /// ⟨r, z⟩ of the last step.
    private var descentRate = 0.0
    /// Δ, which starts at M.
    private var solution: Matrix<Double>
    private var rightSide: Matrix<Double>
    private var residual: Matrix<Double>
    private var direction: Matrix<Double>
    /// The sum of the current pass: the image of the solution or of the direction.
    private var image: Matrix<Double>

    /// Makes the preconditioner and begins the sums over vectors.
    ///
    /// - Parameters:
    ///   - means: Ā and B̄ over all tasks.
    ///   - damping: Of the preconditioner.
    ///   - ridge: ε ≥ 0.
    ///   - tolerance: The residual at which to stop, as a share of the right side's norm.
    ///   - bound: The most steps.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/kroneckerFactors(_:)``, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short; the means are consumed.
    public init(
        means: consuming KroneckerMeans, damping: Damping, ridge: Double, tolerance: Double, bound: Int
    ) throws(TaskArithmeticError) {
        let sides = try means.intoSides()
        let (rows, columns) = (sides.outputCount, sides.inputCount)
        let near = try sides.near.factorized(damping: damping.amount(side: sides.near.scale), ladder: .standard)
        let far = try sides.far.factorized(damping: damping.amount(side: sides.far.scale), ladder: .standard)
        let solution = try Matrix<Double>.zeros(rows, columns)
        let rightSide = try Matrix<Double>.zeros(rows, columns)
        let residual = try Matrix<Double>.zeros(rows, columns)
        let direction = try Matrix<Double>.zeros(rows, columns)
        let image = try Matrix<Double>.zeros(rows, columns)
        if sides.nearSide == .left {
            outputs = near
            inputs = far
        } else {
            outputs = far
            inputs = near
        }
        self.solution = solution
        self.rightSide = rightSide
        self.residual = residual
        self.direction = direction
        self.image = image
        (self.ridge, self.tolerance, self.bound) = (ridge, tolerance, bound)
    }

    /// The vectors once, then the factors for each residual and each step.
    public var nextPass: MergePass? {
        switch stage {
        case .vectors: [.values, .factors]
        case .residual, .descent: .factors
        case .done: nil
        }
    }

    /// Adds a task's vector: M += λ_t Δ_t, and λ_t B_t Δ_t A_t to the right side.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when the shapes differ or memory is short; the sums are then
    ///   invalid.
    public mutating func add(
        delta: borrowing Matrix<Double>, _ factors: borrowing LayerFactors, lambda: Double
    ) throws(TaskArithmeticError) {
        do {
            try solution.add(delta, times: lambda)
            try Self.addImage(of: delta, factors, lambda, to: &rightSide)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Adds a task's product with the current matrix.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when the shapes differ or memory is short.
    public mutating func addProduct(
        _ factors: borrowing LayerFactors, lambda: Double
    ) throws(TaskArithmeticError) {
        do {
            if stage == .descent {
                try Self.addImage(of: direction, factors, lambda, to: &image)
            } else {
                try Self.addImage(of: solution, factors, lambda, to: &image)
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Ends a pass: makes a residual or takes a step.
    /// - Throws: ``TaskArithmeticError/kroneckerFactors(_:)`` or ``TaskArithmeticError/linearAlgebra(_:)`` when memory
    ///   is short.
    public mutating func endPass() throws(TaskArithmeticError) {
        do {
            switch stage {
            case .vectors:
                meanNorm = try solution.frobeniusNorm()
                try rightSide.add(solution, times: ridge)
                rightNorm = try rightSide.frobeniusNorm()
                stage = .residual
            case .residual: try measure()
            case .descent: try step()
            case .done: break
            }
        } catch let error as TaskArithmeticError {
            throw error
        } catch let error as LinearAlgebraError {
            throw .linearAlgebra(error)
        } catch {
            throw .unexpectedOperands("\(error)")
        }
        image.clearPrefix(image.elementCount)
    }

    /// Makes the true residual, and the first direction if it is too large.
    private mutating func measure() throws {
        residual.clearPrefix(residual.elementCount)
        try residual.add(rightSide)
        try residual.add(image, times: -1)
        try residual.add(solution, times: -ridge)
        relativeResidual = rightNorm > 0 ? try residual.frobeniusNorm() / rightNorm : 0
        guard relativeResidual > tolerance, steps < bound else {
            stage = .done
            return
        }
        direction.clearPrefix(direction.elementCount)
        descentRate = try addPreconditioned()
        stage = descentRate > 0 ? .descent : .done
    }

    /// Adds the preconditioned residual z to the direction, and returns ⟨r, z⟩.
    private mutating func addPreconditioned() throws -> Double {
        var change = try Matrix<Double>(rows: residual.rowCount, columns: residual.columnCount)
        try change.add(residual)
        try change.solve(outputs, on: .left)
        try change.solve(inputs, on: .right)
        try direction.add(change)
        return try change.innerProduct(with: residual)
    }

    private mutating func step() throws {
        try image.add(direction, times: ridge)
        let curvature = try direction.innerProduct(with: image)
        // Without curvature there is nothing left to gain along the direction.
        guard curvature > 0 else {
            stage = .done
            return
        }
        steps += 1
        let length = descentRate / curvature
        try solution.add(direction, times: length)
        try residual.add(image, times: -length)
        let norm = try residual.frobeniusNorm()
        guard norm > tolerance * rightNorm, steps < bound else {
            stage = .residual
            return
        }
        let previous = descentRate
        let rows = direction.rowCount
        let columns = direction.columnCount
        var former = try Matrix<Double>(rows: rows, columns: columns)
        swap(&former, &direction)
        descentRate = try addPreconditioned()
        try direction.add(former, times: descentRate / previous)
    }

    /// Returns Δ, with the steps and the true residual.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for a row that is too long.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let norm: Double
        do { norm = try solution.frobeniusNorm() } catch { throw .linearAlgebra(error) }
        let report = MergeSolution(iterations: steps, residual: relativeResidual)
        return MergedBlock(
            values: solution, healths: [inputs.health, outputs.health],
            norms: MergedNorms(merged: norm, mean: meanNorm),
            solution: report)
    }

    /// `sum += λ B Δ A`.
    private static func addImage(
        of delta: borrowing Matrix<Double>, _ factors: borrowing LayerFactors, _ lambda: Double,
        to sum: inout Matrix<Double>
    ) throws(LinearAlgebraError) {
        var product = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try product.addSymmetricProduct(try factors.gradient.operand(), on: .left, of: delta, scale: lambda)
        try sum.addSymmetricProduct(try factors.input.operand(), on: .right, of: product)
    }
}

extension Matrix where Scalar == Double {
    /// Σ a_ij b_ij, summed row by row.
    borrowing func innerProduct(with other: borrowing Matrix<Double>) throws(LinearAlgebraError) -> Double {
        let (rows, columns) = (rowCount, columnCount)
        return try withSpan { (left: Span<Double>) throws(LinearAlgebraError) -> Double in
            try other.withSpan { (right: Span<Double>) throws(LinearAlgebraError) -> Double in
                var sum = 0.0
                for row in 0..<rows {
                    let line = row * columns..<(row + 1) * columns
                    sum += try VectorOperations.dot(left.extracting(line), right.extracting(line))
                }
                return sum
            }
        }
    }
}
