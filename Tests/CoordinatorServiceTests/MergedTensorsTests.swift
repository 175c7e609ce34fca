import JobPlan
import LinearAlgebra
import Testing
import UnitOperations

@testable import CoordinatorService

/// The states of a checkpoint's tensors, as numbers in a journal.
struct MergedTensorsTests {
    @Test(arguments: [0, 1, 47, 48, 49, 200]) func `measurements are read as they were written`(count: Int) throws {
        var merged = MergedTensors()
        for position in 0..<count {
            let state: MergedTensors.State = [.changed, .unchanged, .copied][position % 3]
            merged.tensors.append(
                MergedTensors.Tensor(
                    state: state, differing: position % 2 == 0 ? [0, 2] : [],
                    nonFinite: position % 5 == 0 ? [0: position + 1, 3: 2] : [:],
                    loss: position % 7 == 3 ? RoundingLoss(errorSquares: 0.5, changeSquares: Double(position)) : .init()
                ))
        }
        #expect(MergedTensors(merged.measurements(taskCount: 3), taskCount: 3) == merged)
    }

    @Test func `other measurements are none of a merge`() {
        #expect(MergedTensors([:], taskCount: 1) == nil)
        let states: [MeasurementName: [Double]] = [.tensorStates: [0], .differingTensors: [0]]
        #expect(MergedTensors(states.merging([.roundingLoss: [1, 2, 3]]) { $1 }, taskCount: 1) == nil)
        #expect(MergedTensors([.tensorStates: [7], .differingTensors: [0]], taskCount: 1) == nil)
        #expect(MergedTensors([.tensorStates: [0], .differingTensors: []], taskCount: 1) == nil)
        #expect(MergedTensors([.tensorStates: [0], .differingTensors: [0.5]], taskCount: 1) == nil)
    }
}
