import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct JacobianMergeTests {
    private let joint: JointModel
    private let samples = [[0, 1, 2], [3, 4], [5, 6, 7]]

    init() throws { joint = try JointModel() }

    private var vectors: [[Float]] { (1...3).map { joint.vector(seed: $0) } }

    private func factors() async throws -> KroneckerForm {
        var forms: [KroneckerForm] = []
        for own in samples {
            forms.append(KroneckerForm(await joint.rows(own), settings: .init(oneDimensional: .sum)))
        }
        return try .accumulated(forms)
    }

    private func merge(_ vectors: [[Float]]) async throws -> JacobianMerge {
        let width = joint.tokens.count / 8
        let members = zip(vectors, samples).map { vector, own in
            JacobianMerge.Member(
                vector: vector, tokens: own.flatMap { Array(joint.tokens[$0 * width..<($0 + 1) * width]) },
                sampleCount: own.count)
        }
        return try JacobianMerge(members, factors: try await factors(), base: joint.model.base)
    }

    /// Σ_t E‖J (τ − τ_t)‖², sample by sample in fp64.
    private func error(of found: [Float], _ vectors: [[Float]]) -> Double {
        zip(vectors, samples).reduce(0) { sum, task in
            sum + joint.exact(task.1, zip(found, task.0).map { $0 - $1 })
        }
    }

    @Test func `iterations lower the error from that of the mean to the least`() async throws {
        let merge = try await merge(vectors)
        var errors: [Double] = []
        var found: [Float] = []
        for count in [0, 1, 2, 4, 8, 80] {
            found = try await merge.vector(iterationCount: count, on: joint.team)
            errors.append(error(of: found, vectors))
        }
        let mean = found.indices.map { index in vectors.reduce(0) { $0 + $1[index] } / 3 }
        expectClose(errors[0], error(of: mean, vectors), relative: 1e-4)
        #expect(zip(errors, errors.dropFirst()).allSatisfy { $1 <= $0 * (1 + 1e-4) })
        #expect(errors[1] < 0.9 * errors[0])
        // At the least value no direction has a slope. In a quadratic form differences give the slope exactly.
        for seed in 11...15 as ClosedRange<UInt64> {
            let direction = joint.vector(seed: seed)
            let beyond = error(of: zip(found, direction).map { $0 + $1 }, vectors)
            let before = error(of: zip(found, direction).map { $0 - $1 }, vectors)
            expectClose(beyond, before, relative: 0.02)
        }
    }

    @Test func `equal vectors merge to themselves`() async throws {
        let vector = joint.vector(seed: 7)
        let found = try await merge([vector, vector, vector]).vector(iterationCount: 5, on: joint.team)
        expectClose(found, vector.map(Double.init), absolute: 1e-4)
    }

    @Test func `the number of threads changes no bit`() async throws {
        let merge = try await merge(vectors)
        let one = try await merge.vector(iterationCount: 3, on: PassTeam(joint.layout, laneCount: 1))
        #expect(try await merge.vector(iterationCount: 3, on: PassTeam(joint.layout, laneCount: 3)) == one)
    }

    @Test func `the preconditioner is the inverse of damped K-FAC`() async throws {
        let penalty = try await factors().penalty
        let preconditioner = try KroneckerPreconditioner(penalty)
        let vector = joint.vector(seed: 9)
        var (product, scratch) = ([Float](repeating: 0, count: vector.count), PenaltyScratch())
        _ = penalty.addGradient(at: vector, scale: 0.5, to: &product, scratch: &scratch)
        func mean(_ matrix: [Float], _ side: Int) -> Float {
            (0..<side).reduce(0) { $0 + matrix[$1 * (side + 1)] } / Float(side)
        }
        let damping = KroneckerPreconditioner.damping
        for term in penalty.layers {
            let scale = damping * mean(term.input, term.inputSide) * mean(term.gradient, term.layer.outputWidth)
            var delta: [Float] = []
            term.layer.gather(from: vector, into: &delta)
            term.layer.scatter(delta, scale: scale, addingTo: &product)
        }
        for term in penalty.vectors {
            let scale = damping * mean(term.block, term.entry.count)
            for index in term.entry.range { product[index] += scale * vector[index] }
        }
        expectClose(preconditioner.applied(to: product), vector.map(Double.init), absolute: 2e-3)
    }

    @Test func `a merge of no vector is refused`() async throws {
        let factors = try await factors()
        let found = message { () throws(LaboratoryError) in
            _ = try JacobianMerge([], factors: factors, base: joint.model.base)
        }
        #expect(found == "a merge needs a task vector.")
    }
}
