import Identifiers
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// An operation without an execution in the worker.
private struct ForeignOperation: UnitOperation {
    static var kind: String { "foreign" }
    static var stage: UnitStage { .combine }
    var slices: [FileSlice] { [] }
    var inputBlobCount: Int { 0 }
    var outputBlobCount: Int { 0 }
    var cost: UnitCost { UnitCost(multiplyAdds: 0, inputBytes: 0, outputBytes: 0, memoryBytes: 0) }
    var stageSeconds: Double { 0 }

    init() {}
    func encode(_ files: inout FileNumbering) -> [UInt8] { [] }
    init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {}
}

/// The operations that a worker can compute.
@Suite(.timeLimit(.minutes(5)))
struct ExecutionTests {
    @Test func `every operation of leases has an execution`() throws {
        try UnexecutableOperations.refuse(among: OperationRegistry.operations)
    }

    @Test func `a worker that lacks an execution says which, and does not start`() {
        let error = #expect(throws: UnexecutableOperations.self) {
            try UnexecutableOperations.refuse(among: OperationRegistry.operations + [ForeignOperation.self])
        }
        #expect(
            error?.description
                == "this worker cannot compute the operations foreign, which leases may hold. It was built "
                + "wrong: install kfacd again.")
    }

    @Test func `a unit of an operation without execution fails, and the lane goes on`() async throws {
        try await Bench.run { bench in
            let (fault, message) = try await bench.fault(BenchUnit(ForeignOperation()))
            #expect(fault == .world)
            #expect(message.hasPrefix("the unit: this worker cannot compute the operations foreign,"))
        }
    }
}
