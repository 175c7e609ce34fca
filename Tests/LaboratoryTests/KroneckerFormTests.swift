import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct KroneckerFormTests {
    private let joint: JointModel

    init() throws { joint = try JointModel() }

    private func value(_ form: some QuadraticPenalty, _ entries: [ParameterLayout.Entry], seed: UInt64 = 5) -> Double {
        form.value(at: joint.vector(seed: seed, only: entries))
    }

    /// The trace of a form's matrix over some parameters.
    private func trace(_ entries: [ParameterLayout.Entry], _ value: ([Float]) -> Double) -> Double {
        var unit = [Float](repeating: 0, count: joint.layout.count)
        return entries.flatMap(\.range).reduce(0) { sum, index in
            unit[index] = 1
            defer { unit[index] = 0 }
            return sum + value(unit)
        }
    }

    // MARK: - One task

    @Test func `one sample's factors are exact for a layer of one position`() async throws {
        let form = KroneckerForm(await joint.rows([2]), settings: .init())
        let entries = joint.entries(of: try #require(joint.layout.layers.last))
        expectClose(value(form, entries), joint.exact([2], joint.vector(seed: 5, only: entries)), relative: 1e-5)
    }

    @Test func `full blocks are exact for each one-dimensional parameter`() async {
        let form = KroneckerForm(await joint.rows([0, 2, 3]), settings: .init())
        for entry in joint.layout.vectors {
            let expected = joint.exact([0, 2, 3], joint.vector(seed: 5, only: [entry]))
            expectClose(value(form, [entry]), expected, relative: 1e-4)
        }
    }

    @Test func `factors are those of the expand convention`() async {
        let form = KroneckerForm(await joint.rows([0, 1, 2], CaptureSettings(probes: .sampled(2))), settings: .init())
        var pass = TransformerPass(joint.layout, sampleCapacity: 1)
        for (index, term) in form.penalty.layers.enumerated() {
            var input = [Double](repeating: 0, count: term.input.count)
            for sample in 0..<3 {
                pass.load([sample], from: joint.tokens)
                pass.forward(joint.model.base.parameters)
                let rows = pass.layerRows[index]
                for row in 0..<rows.rowsPerSample {
                    let start = row * term.layer.inputWidth
                    let values = rows.inputs[start..<start + term.layer.inputWidth].map(Double.init)
                    let extended = term.layer.biasOffset == nil ? values : values + [1]
                    for (place, product) in extended.flatMap({ left in extended.map { left * $0 } }).enumerated() {
                        input[place] += product / Double(3 * rows.rowsPerSample)
                    }
                }
            }
            expectClose(term.input, input, relative: 1e-5, absolute: 1e-6)
        }
    }

    @Test func `balanced factors have the trace of each layer's exact Gauss-Newton matrix`() async {
        let form = KroneckerForm(await joint.rows([1, 4]), settings: .init(balance: .trace))
        for layer in joint.layout.layers {
            let entries = joint.entries(of: layer)
            let exact = trace(entries) { joint.exact([1, 4], $0) }
            expectClose(trace(entries) { form.value(at: $0) }, exact, relative: 1e-4)
        }
    }

    @Test func `balance changes the scale of B alone`() async {
        let rows = await joint.rows([1, 4])
        let plain = KroneckerForm(rows, settings: .init()).penalty
        let balanced = KroneckerForm(rows, settings: .init(balance: .trace)).penalty
        #expect(plain.layers.map(\.input) == balanced.layers.map(\.input))
        #expect(plain.vectors.map(\.block) == balanced.vectors.map(\.block))
        for (term, other) in zip(plain.layers, balanced.layers) {
            let factor = other.gradient[0] / term.gradient[0]
            #expect((0.01...100).contains(factor))
            expectClose(other.gradient, term.gradient.map { factor * $0 }, relative: 1e-4, absolute: 1e-9)
        }
    }

    @Test func `a layer without curvature stays as it is when it is balanced`() {
        let layer = joint.layout.layers[0]
        let zeros = [Float](repeating: 0, count: layer.outputWidth * layer.outputWidth)
        let term = CurvaturePenalty.LayerTerm(
            layer: layer, weight: 1, input: [Float](repeating: 1, count: 81), gradient: zeros)
        #expect(term.balanced(to: 0).gradient == zeros)
    }

    // MARK: - Several tasks

    private func forms(_ settings: KroneckerForm.Settings) async -> [KroneckerForm] {
        var forms: [KroneckerForm] = []
        for samples in [[0, 1], [2, 3], [4, 5, 6]] {
            forms.append(KroneckerForm(await joint.rows(samples), settings: settings))
        }
        return forms
    }

    @Test func `equation 7 is the mean of the tasks' forms`() async throws {
        let forms = await forms(.init(accumulation: .perTask))
        let vector = joint.vector(seed: 7)
        let mean = forms.reduce(0) { $0 + $1.value(at: vector) } / 3
        expectClose(try KroneckerForm.accumulated(forms).value(at: vector), mean, relative: 1e-5)
    }

    @Test(arguments: KroneckerForm.Settings.OneDimensional.allCases)
    func `equation 8 sums B and takes the mean of A`(oneDimensional: KroneckerForm.Settings.OneDimensional) async throws
    {
        let forms = await forms(.init(oneDimensional: oneDimensional))
        let sum = try KroneckerForm.accumulated(forms).penalty
        for (index, term) in sum.layers.enumerated() {
            let parts = forms.map { $0.penalty.layers[index] }
            let input = term.input.indices.map { place in parts.reduce(0) { $0 + Double($1.input[place]) } / 3 }
            let gradient = term.gradient.indices.map { place in parts.reduce(0) { $0 + Double($1.gradient[place]) } }
            expectClose(term.input, input, relative: 1e-5, absolute: 1e-7)
            expectClose(term.gradient, gradient, relative: 1e-5, absolute: 1e-7)
            #expect(term.weight == 1)
        }
        let divisor = oneDimensional == .sum ? 1.0 : 3
        for (index, term) in sum.vectors.enumerated() {
            let block = term.block.indices.map { place in
                forms.reduce(0) { $0 + Double($1.penalty.vectors[index].block[place]) } / divisor
            }
            expectClose(term.block, block, relative: 1e-5, absolute: 1e-9)
        }
    }

    @Test(arguments: [
        KroneckerForm.Settings(), .init(accumulation: .perTask), .init(balance: .trace, oneDimensional: .sum),
    ])
    func `tasks accumulated one after the other give what they give at once`(
        settings: KroneckerForm.Settings
    ) async throws {
        let forms = await forms(settings)
        let once = try KroneckerForm.accumulated(forms)
        let sequence = try KroneckerForm.accumulated([forms[0], KroneckerForm.accumulated(Array(forms[1...]))])
        let vector = joint.vector(seed: 7)
        expectClose(sequence.value(at: vector), once.value(at: vector), relative: 1e-5)
    }

    @Test func `equation 7 keeps every task's factors, and equation 8 those of one`() async throws {
        let one = await forms(.init())[0].storedElementCount
        #expect(try KroneckerForm.accumulated(await forms(.init())).storedElementCount == one)
        #expect(try KroneckerForm.accumulated(await forms(.init(accumulation: .perTask))).storedElementCount == 3 * one)
    }
}
