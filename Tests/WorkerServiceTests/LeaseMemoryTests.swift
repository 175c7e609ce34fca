import Identifiers
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations

@testable import WorkerService

/// Leases that would need more memory than the worker offers.
@Suite struct LeaseMemoryTests {
    @Test func `factors that exceed the worker's memory are refused before they are read`() async throws {
        try await Bench.run { bench in
            // Two factors of 2^28 numbers: 4 GiB in fp64 beside the 2 GiB that are read.
            let slice = FileSlice(file: 0, offset: 0, byteCount: 1 << 30)
            let factor = LowRankUpdate.Factor(elementType: .f32, slice: slice)
            var own = TensorSource(elementType: .f32, slice: FileSlice(file: 0, offset: 0, byteCount: 16))
            own.update = LowRankUpdate(
                up: factor, down: factor, rows: 1 << 14, columns: 1 << 14, rank: 1 << 14, scale: 1)
            let operation = MergeOperation(
                method: "ties", parameters: .tensor(rows: 2, columns: 2),
                base: [TensorSource(elementType: .f32, slice: own.slice)],
                tasks: [.init(parameters: [own], weight: 1, lambda: 1)], scale: 1,
                damping: DampingSpec(rule: .relative, value: 0.1), outputTypes: [.f32])
            let (kind, message) = try await bench.fault(BenchUnit(operation, about: "q.weight"))
            #expect(kind == .world)
            let needed = operation.cost.memoryBytes >> 20
            #expect(needed >= 6144)
            #expect(
                message == "the unit: the lease is malformed: \"q.weight\" needs \(needed) MiB of memory; this worker "
                    + "offers 1024 MiB")
        }
    }
}
