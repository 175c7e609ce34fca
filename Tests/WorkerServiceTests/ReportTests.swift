import Identifiers
import Messaging
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

/// Results of a worker that are too large to report to the coordinator.
@Suite(.timeLimit(.minutes(5))) struct ReportTests {
    @Test func `results too large for a message fail their unit, and say why`() async throws {
        let context = try Context()
        let coordinator = try await FakeCoordinator(context: context)
        let connection = try await WorkerConnection.connect(
            to: coordinator.endpoint,
            hello: WorkerHello(
                worker: "w", host: "test", lanes: 1, memoryBytes: 1,
                regime: NumericRegime(kernels: "kernels", elements: "fp32"), build: "test"),
            context: context)
        let unit = LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(0)), Attempt(1))
        let numbers = [Double](repeating: 1, count: WireLimits.requestBytesMax / 8)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await coordinator.serve() }
            group.addTask { try await connection.receive() }
            group.addTask { try await connection.beat(greetingLimit: .seconds(30)) { [] } }
            let problem = try await connection.tellFinished(
                unit, UnitResult(measurements: [.trace: numbers]), elapsedSeconds: 1, kernelSeconds: 1)
            let told = try await coordinator.next("the failure") { message -> String? in
                if case .failed(unit, let failure) = message, failure.kind == .badInput { failure.message } else { nil }
            }
            #expect(told == problem)
            #expect(told.hasPrefix("the unit's results cannot be sent: the message has 16777"), "\(told)")
            #expect(told.hasSuffix(" bytes; at most 16777216 are allowed."), "\(told)")
            await connection.close(reason: "the test ends")
            await coordinator.close()
            group.cancelAll()
        }
    }
}
