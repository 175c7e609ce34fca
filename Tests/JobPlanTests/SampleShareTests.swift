import Identifiers
import JobPlan
import Testing

/// The samples that a finished unit stands for.
@Suite struct SampleShareTests {
    private func shares(_ model: SmallModel, limits: PlanLimits = PlanLimits()) throws -> [UnitIndex: SampleShare] {
        let text = JobFileText(
            models: ["- {name: a, captures: a}", "- {name: b, factors: b}"], rest: ["outputs: [factors]"])
        return try JobPlan.small(text, model: model, limits: limits).sampleShares
    }

    @Test func `each factor of a task has an equal share of its samples, and imported factors have none`() throws {
        let shares = try shares(SmallModel())
        // Two layers with two sides and one parameter.
        #expect(shares.count == 5)
        #expect(shares.values.allSatisfy { $0 == SampleShare(task: "a", samples: 2) })
    }

    @Test func `parts of a factor share by their rows, and a sum of parts reads no samples`() throws {
        let model = SmallModel(layers: [SmallModel.Layer(name: "fc")], parameters: [], samples: 10, probes: 1)
        let shares = try shares(model, limits: PlanLimits(chunkRows: 4, partMultiplyAdds: 1))
        // Parts of 4, 4 and 2 of 10 rows for each side; each side stands for 5 samples.
        #expect(shares.values.map(\.samples).sorted() == [1, 1, 2, 2, 2, 2])
    }
}
