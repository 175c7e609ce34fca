import LinearAlgebra
import ReferenceModel

/// Merges linear task vectors without training: the τ that least changes what each task's own vector computes on that
/// task's inputs, argmin Σ_t E‖J(x_t) (τ − τ_t)‖².
///
/// Conjugate gradients start from the mean of the vectors. A product with Σ_t E JᵀJ is a J τ and a Jᵀ u of each input,
/// so no matrix is formed. Ended early they leave the mean where few inputs have a say.
///
/// Source: DESIGN section 2.2, input mixture; Golub & Van Loan 2013, Matrix computations, algorithm 11.5.1.
public struct JacobianMerge: Sendable {
    /// A task's vector, and inputs that stand for the task.
    public struct Member: Sendable {
        let vector: [Float]
        /// `[samples, positions, width]`.
        let tokens: [Float]
        let sampleCount: Int

        /// A task.
        ///
        /// - Parameters:
        ///   - vector: τ_t, in the layout's order.
        ///   - tokens: `[samples, positions, width]`.
        ///   - sampleCount: At least 1.
        public init(vector: [Float], tokens: [Float], sampleCount: Int) {
            self.vector = vector
            self.tokens = tokens
            self.sampleCount = sampleCount
        }
    }

    /// The samples of one product; more would only keep more gradients in memory.
    private static let batchSize = 256

    private let members: [Member]
    private let base: BaseModel
    private let preconditioner: KroneckerPreconditioner

    /// A merge.
    ///
    /// - Parameters:
    ///   - members: The tasks, at least one.
    ///   - factors: K-FAC of the tasks, of one term, which makes the iterations fewer.
    ///   - base: The model.
    /// - Throws: ``LaboratoryError/usage(_:)`` for no task, or ``LaboratoryError/compression(_:)`` for factors that
    ///   cannot be decomposed.
    public init(_ members: [Member], factors: KroneckerForm, base: BaseModel) throws(LaboratoryError) {
        guard !members.isEmpty else { throw .usage("a merge needs a task vector.") }
        self.members = members
        self.base = base
        preconditioner = try compressing { () throws(LinearAlgebraError) in
            try KroneckerPreconditioner(factors.penalty)
        }
    }

    /// Merges.
    ///
    /// - Parameters:
    ///   - iterationCount: The number of products after the first.
    ///   - team: Computes the passes.
    /// - Returns: τ, in the layout's order.
    /// - Throws: `CancellationError`.
    public func vector(iterationCount: Int, on team: PassTeam) async throws -> [Float] {
        let share = 1 / Float(members.count)
        var solution = [Float](repeating: 0, count: base.layout.count)
        for member in members { Self.add(member.vector, times: share, to: &solution) }
        var residual = [Float](repeating: 0, count: solution.count)
        for member in members {
            let error = zip(member.vector, solution).map { $0 - $1 }
            await addProduct(member, error, to: &residual, team)
        }
        var scaled = preconditioner.applied(to: residual)
        var direction = scaled
        var square = Self.dot(residual, scaled)
        for _ in 0..<iterationCount where square > 0 {
            try Task.checkCancellation()
            var image = [Float](repeating: 0, count: solution.count)
            for member in members { await addProduct(member, direction, to: &image, team) }
            let curvature = Self.dot(direction, image)
            guard curvature > 0 else { break }
            Self.add(direction, times: Float(square / curvature), to: &solution)
            Self.add(image, times: -Float(square / curvature), to: &residual)
            scaled = preconditioner.applied(to: residual)
            let next = Self.dot(residual, scaled)
            let ratio = Float(next / square)
            for index in direction.indices { direction[index] = scaled[index] + ratio * direction[index] }
            square = next
        }
        return solution
    }

    /// Adds E JᵀJ v of one task.
    private func addProduct(_ member: Member, _ vector: [Float], to sum: inout [Float], _ team: PassTeam) async {
        let parameters = base.parameters
        let scale = 1 / Float(member.sampleCount)
        for start in stride(from: 0, to: member.sampleCount, by: Self.batchSize) {
            let count = min(Self.batchSize, member.sampleCount - start)
            let shards = await team.map(count) { workspace, shard, range in
                workspace.load(range.map { start + $0 }, from: member.tokens)
                workspace.pass.forward(parameters)
                workspace.pass.tangent(parameters, along: vector)
                workspace.setTangentGradient(scale: scale)
                return workspace.parameterGradient(parameters, shard: shard)
            }
            for shard in shards { Self.add(shard, times: 1, to: &sum) }
        }
    }

    private static func add(_ part: [Float], times factor: Float, to sum: inout [Float]) {
        for index in sum.indices { sum[index] += factor * part[index] }
    }

    private static func dot(_ left: [Float], _ right: [Float]) -> Double {
        var sum = 0.0
        for index in left.indices { sum += Double(left[index]) * Double(right[index]) }
        return sum
    }
}
