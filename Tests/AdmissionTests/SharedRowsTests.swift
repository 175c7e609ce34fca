import Identifiers
import JobPlan
import TestSupport
import Testing
import UnitOperations

@testable import Admission

/// Layers that read the same rows share A only if their counts are the same too.
@Suite struct SharedRowsTests {
    private let input: SmallInput

    init() throws {
        input = try SmallInput()
        for name in ["base", "model"] { try input.write(name, ["q.weight": [2, 3], "k.weight": [2, 3]]) }
    }

    /// Whether the A of both layers is one output of one unit.
    private func sharesInput(_ metadata: [String: String] = [:]) throws -> Bool {
        try input.write(
            "rows", ["q.input": [4, 3], "q.output_grad": [4, 2], "k.input": [4, 3], "k.output_grad": [4, 2]],
            firstByte: 2, metadata: ["format": "kfacd.capture/1", "samples": "4"].merging(metadata) { $1 })
        let products = try input.admit(input.job()).plan.products
        return products["q", .factor(.input, of: "t")] == products["k", .factor(.input, of: "t")]
    }

    @Test func `equal rows of equal samples are one factor`() throws {
        #expect(try sharesInput())
        #expect(try sharesInput(["layer_samples": #"{\"q\":2,\"k\":2}"#]))
    }

    @Test func `equal rows of another number of samples are another factor`() throws {
        #expect(try !sharesInput(["layer_samples": #"{\"k\":2}"#]))
    }
}
