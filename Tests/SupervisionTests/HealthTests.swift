import Supervision
import Synchronization
import Testing

@Suite struct HealthTests {
    private let start = ContinuousClock.now

    @Test func `a loop may wait for ever and be at one thing for its limit`() {
        let pulse = LoopPulse("the reception", limit: .seconds(10))
        #expect(pulse.problem(at: start + .seconds(1_000_000)) == nil)
        pulse.beginTurn(at: start)
        #expect(pulse.problem(at: start + .seconds(10)) == nil)
        #expect(
            pulse.problem(at: start + .seconds(11))
                == "the reception has been at one thing for 11 s; it may take 10 s")
        pulse.endTurn()
        #expect(pulse.problem(at: start + .seconds(11)) == nil)
    }

    @Test func `an actor is judged from its first answer on`() {
        let pulse = ReplyPulse("the state", limit: .seconds(10))
        #expect(pulse.problem(at: start + .seconds(100)) == nil)
        pulse.noteReply(at: start)
        #expect(pulse.problem(at: start + .seconds(10)) == nil)
        #expect(pulse.problem(at: start + .seconds(12)) == "the state has not answered for 12 s; it may take 10 s")
        pulse.end()
        #expect(pulse.problem(at: start + .seconds(100)) == nil)
    }

    @Test func `an idle lane and one that waits for the network are healthy`() {
        let lane = LaneProgress(number: 1)
        #expect(lane.problem(at: start + .seconds(1_000_000)) == nil)
        #expect(lane.activity == .idle)
        let reading = Mutex(LaneProgress.Reading(steps: 3, isWaiting: true))
        lane.begin("factor", stageSeconds: 0, at: start) { reading.withLock { $0 } }
        #expect(lane.current.activity == .waiting)
        #expect(lane.current.title == "factor")
        #expect(lane.problem(at: start + .seconds(1_000_000)) == nil)
        reading.withLock { $0.isWaiting = false }
        #expect(lane.activity == .computing)
        #expect(lane.problem(at: start + .seconds(1_000_120)) == nil)
        #expect(lane.problem(at: start + .seconds(1_000_121)) != nil)
        reading.withLock { $0.steps += 1 }
        #expect(lane.problem(at: start + .seconds(1_000_121)) == nil)
        #expect(lane.problem(at: start + .seconds(1_000_242)) != nil)
        lane.end()
        #expect(lane.problem(at: start + .seconds(2_000_000)) == nil)
    }

    @Test(arguments: [Double.nan, .infinity, 1e300])
    func `a prediction without an end is a bound all the same`(seconds: Double) {
        let lane = LaneProgress(number: 0)
        lane.begin("unit", stageSeconds: seconds, at: start) { LaneProgress.Reading(steps: 0, isWaiting: false) }
        #expect(lane.problem(at: start + .seconds(20_000_120)) == nil)
        #expect(lane.problem(at: start + .seconds(20_000_121)) != nil)
    }

    @Test func `all problems are told`() {
        let monitor = HealthMonitor()
        for name in ["one", "two"] {
            let pulse = ReplyPulse(name, limit: .zero)
            pulse.noteReply(at: start)
            monitor.watch(pulse)
        }
        #expect(monitor.problems(at: start).isEmpty)
        #expect(monitor.problems(at: start + .seconds(1)).count == 2)
    }
}
