import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct DiagonalCurvatureTests {
    private let model: TinyModel
    private let tokens: [Float]
    /// More than one shard, in reverse order.
    private let samples = Array((0..<20).reversed())

    init() throws {
        BLASEnvironment.setThreadCount(1)
        model = try TinyModel()
        tokens = model.tokens(samples: 20)
    }

    private func diagonal(
        _ settings: CaptureSettings, samples: [Int]? = nil, laneCount: Int = 2
    ) async -> [Float] {
        await DiagonalCurvature(
            "a", tokens: tokens, samples: samples ?? self.samples, base: model.base,
            team: PassTeam(model.base.layout, laneCount: laneCount), settings: settings
        ).values
    }

    /// Jᵀ u of one sample, in a pass of its own.
    private func gradient(of sample: Int, _ direction: [Float]) -> [Double] {
        var pass = TransformerPass(model.base.layout, sampleCapacity: 1)
        pass.load([sample], from: tokens)
        pass.forward(model.base.parameters)
        var gradient = [Float](repeating: 0, count: model.base.layout.count)
        pass.cotangent(model.base.parameters, of: direction, gradient: &gradient)
        return gradient.map(Double.init)
    }

    @Test func `exact probes give the mean of each parameter's squared Jacobian column`() async {
        let found = await diagonal(CaptureSettings(probes: .exact))
        var expected = [Double](repeating: 0, count: model.base.layout.count)
        for sample in samples {
            for feature in 0..<6 {
                let row = gradient(of: sample, (0..<6).map { $0 == feature ? 1 : 0 })
                for index in row.indices { expected[index] += row[index] * row[index] / Double(samples.count) }
            }
        }
        expectClose(found, expected, relative: 1e-4, absolute: 1e-9)
    }

    @Test func `exact probes agree with the tangents of single parameters`() async {
        let found = await diagonal(CaptureSettings(probes: .exact))
        let outputs = ModelOutputs(model.base, tokens: tokens, count: 20)
        for entry in model.base.layout.entries {
            var unit = [Float](repeating: 0, count: model.base.layout.count)
            unit[entry.offset] = 1
            let squares = outputs.tangents(along: unit).joined().reduce(0) { $0 + $1 * $1 }
            expectClose(Double(found[entry.offset]), squares / 20, relative: 1e-3, absolute: 1e-9)
        }
    }

    @Test func `sampled probes give the mean square of per-sample gradients`() async {
        let settings = CaptureSettings(probes: .sampled(3), seed: 4)
        let found = await diagonal(settings)
        var expected = [Double](repeating: 0, count: model.base.layout.count)
        for sample in samples {
            var directions = ProbeDirections(settings, task: "a", samples: [sample], featureWidth: 6)
            var direction = [Float](repeating: 0, count: 6)
            for _ in 0..<3 {
                directions.next(into: &direction)
                let row = gradient(of: sample, direction)
                for index in row.indices { expected[index] += row[index] * row[index] / Double(3 * samples.count) }
            }
        }
        expectClose(found, expected, relative: 1e-4, absolute: 1e-9)
    }

    @Test func `the number of threads changes no bit`() async {
        let settings = CaptureSettings(probes: .sampled(2))
        let one = await diagonal(settings, laneCount: 1)
        #expect(await diagonal(settings, laneCount: 3) == one)
    }

    @Test func `no samples give zeros`() async {
        let found = await diagonal(CaptureSettings(), samples: [])
        #expect(found == [Float](repeating: 0, count: model.base.layout.count))
    }
}

/// The diagonal as a form that is built from rows.
struct DiagonalFormTests {
    private let joint: JointModel

    init() throws { joint = try JointModel() }

    @Test func `rows give the diagonal that passes give`() async {
        let settings = CaptureSettings(probes: .sampled(3), seed: 2)
        let samples = [1, 2, 5]
        let expected = await DiagonalCurvature(
            "a", tokens: joint.tokens, samples: samples, base: joint.model.base, team: joint.team, settings: settings)
        let found = DiagonalCurvature(await joint.rows(samples, settings), settings: ())
        expectClose(found.values, expected.values.map { Double($0) }, relative: 1e-4, absolute: 1e-9)
    }

    @Test func `the value is Σ d τ², the gradient 2 d τ`() throws {
        let form = DiagonalCurvature(values: [1, 2, 0])
        #expect(form.value(at: [3, -1, 7]) == 11)
        #expect(form.gradient(at: [3, -1, 7]) == [6, -4, 0])
        #expect(form.storedElementCount == 3)
    }

    @Test func `tasks accumulated one after the other give the mean of all`() throws {
        let forms = [[3, 6], [6, 0], [0, 3]].map { DiagonalCurvature(values: $0) }
        let once = try DiagonalCurvature.accumulated(forms)
        expectClose(once.values, [3.0, 3.0], relative: 1e-6)
        let sequence = try DiagonalCurvature.accumulated([
            DiagonalCurvature.accumulated([forms[0], forms[1]]), forms[2],
        ])
        expectClose(sequence.values, [3.0, 3.0], relative: 1e-6)
    }
}
