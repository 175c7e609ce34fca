import Identifiers
import LinearAlgebra
import Testing
import UnitOperations

@testable import CoordinatorService
@testable import JobPlan

/// The warning about gradients that cancel, for factors that several units compute.
struct CancelledGradientsTests {
    /// One layer of 8 rows of 2 each of 4 samples, in parts of 4 rows.
    private func plan() throws -> JobPlan {
        func rows(_ name: String, _ columns: Int) -> CapturedRows {
            let slice = FileSlice(file: 0, offset: 0, byteCount: UInt64(32 * columns))
            return CapturedRows(
                tensor: name, columns: columns, elementType: .f32, slices: [RowSlice(slice: slice, rows: 8)])
        }
        let weight = TensorInventory(
            name: "k.weight", elementType: "F32", shape: [2, 3],
            slice: FileSlice(file: 0, offset: 0, byteCount: 24))
        let base = CheckpointInventory(
            location: "base", shards: [.init(name: "model.safetensors", metadata: [:], tensors: [weight])])
        let file = InputFile(
            path: "/a", byteCount: 9, modificationTime: 1,
            headerDigest: BlobDigest(sha256: [UInt8](repeating: 1, count: 32)), role: "base")
        var inventory = JobInventory(files: [file], base: base)
        inventory.captures["a"] = CaptureInventory(
            probes: 1,
            layers: [
                "k": .init(
                    input: rows("k.input", 3), outputGradient: rows("k.output_grad", 2), samples: 4, positions: 2)
            ],
            parameters: [:])
        let spec = try JobSpec(
            yaml: """
                merge_method: kfac
                base_model: base
                models: [{name: a, captures: c}]
                kfac: {normalization: reduce}
                outputs: [factors, report]
                output: out
                """, fileName: "job.yaml")
        return try JobPlan(
            spec: spec, inventory: inventory, limits: PlanLimits(chunkRows: 4, partMultiplyAdds: 1))
    }

    private func sentences(trace: Double, squares: Double) throws -> [String] {
        let plan = try plan()
        let factors = plan.factorsOfSummedRows(of: "a")
        #expect(factors.map(\.block) == ["k"] && factors.map(\.divisor) == [4])
        let parts = try #require(factors.first).parts
        #expect(parts.count == 2)
        return CancelledGradients(plan: plan) { unit in
            parts.contains(unit)
                ? UnitResult(measurements: [.rowSquares: [squares]]) : UnitResult(measurements: [.trace: [trace]])
        }.sentences
    }

    @Test func `the parts of a factor are compared with their sum`() throws {
        // B is divided by the 4 samples; both parts together have 8 · squares.
        #expect(try sentences(trace: 2, squares: 4) == [])
        #expect(try sentences(trace: 1.1e-4, squares: 2) == [])
        let found = try sentences(trace: 0.9e-4, squares: 2)
        #expect(found.count == 1)
        #expect(found.first?.contains("in 1 layer: \"k\" of task \"a\" (9.0e-05). ") ?? false, "\(found)")
        // Nothing is left where nothing was.
        #expect(try sentences(trace: 0, squares: 0) == [])
    }
}
