import Dispatch
import JobPlan
import Testing

@testable import Admission

/// A lane whose check hangs until the test releases it.
@Suite(.timeLimit(.minutes(5))) struct AdmissionLaneTests {
    private let lane = AdmissionLane("test")

    @Test func `a check gives its result or its refusal`() async throws {
        #expect(try await lane.run(within: .seconds(60)) { () throws(JobRefusal) in 7 } == 7)
        let refusal = JobRefusal(problems: [JobProblem(at: "job.yaml:1:1", "no.")])
        await #expect(throws: refusal) {
            try await lane.run(within: nil) { () throws(JobRefusal) -> Int in throw refusal }
        }
    }

    @Test func `a check that takes too long is given up, and the lane says when it is free again`() async throws {
        let (release, ends) = (DispatchSemaphore(value: 0), AsyncStream.makeStream(of: Void.self))
        await #expect(throws: JobRefusal(interruption: "the check was given up after 0.001 seconds")) {
            try await lane.run(within: .milliseconds(1)) {
                ends.continuation.finish()
            } check: { () throws(JobRefusal) in
                release.wait()
            }
        }
        release.signal()
        for await _ in ends.stream {}
        #expect(try await lane.run(within: nil) { () throws(JobRefusal) in 7 } == 7)
    }

    @Test func `a cancelled task does not wait for a check that hangs`() async throws {
        let (lane, release) = (lane, DispatchSemaphore(value: 0))
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await lane.run(within: nil) { () throws(JobRefusal) in release.wait() }
        }
        await #expect(throws: JobRefusal(interruption: "nobody waits for the check any more")) { try await task.value }
        release.signal()
    }
}
