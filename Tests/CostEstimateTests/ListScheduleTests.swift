import Testing

@testable import CostEstimate

@Suite struct ListScheduleTests {
    private func worker(_ seconds: Double, after dependencies: [Int] = []) -> ListSchedule.Unit {
        ListSchedule.Unit(seconds: seconds, isForWorker: true, dependencies: dependencies)
    }

    private func coordinator(_ seconds: Double, after dependencies: [Int] = []) -> ListSchedule.Unit {
        ListSchedule.Unit(seconds: seconds, isForWorker: false, dependencies: dependencies)
    }

    private func makespan(_ units: [ListSchedule.Unit], lanes: Int = 2, coordinatorLanes: Int = 1) -> Double {
        ListSchedule.makespan(of: units, lanes: lanes, coordinatorLanes: coordinatorLanes)
    }

    @Test func `no units take no time, and one unit takes its own`() {
        #expect(makespan([]) == 0)
        #expect(makespan([worker(3)]) == 3)
    }

    @Test func `independent units fill the lanes, the longest first`() {
        // 5 | 3 2, where the plan's order would take 2 5 | 3.
        #expect(makespan([worker(2), worker(3), worker(5)]) == 5)
        #expect(makespan([worker(2), worker(3), worker(5)], lanes: 1) == 10)
        #expect(makespan([worker(2), worker(3), worker(5)], lanes: 3) == 5)
    }

    @Test func `a unit waits for those that it reads, and a long chain goes first`() {
        // The chain 1, 4 begins although the unit of 3 is longer: 1 4 | 3 2.
        #expect(makespan([worker(3), worker(1), worker(4, after: [1]), worker(2)]) == 5)
    }

    @Test func `files are the coordinator's, beside the workers and after them`() {
        // Digests of 4 run beside two units of 5; the file of 1 comes after both.
        #expect(makespan([coordinator(4), worker(5), worker(5), coordinator(1, after: [1, 2])]) == 6)
        #expect(makespan([coordinator(4), coordinator(4)], coordinatorLanes: 2) == 4)
        #expect(makespan([coordinator(4), coordinator(4)], coordinatorLanes: 1) == 8)
    }

    @Test func `more lanes than units change nothing`() {
        let units = (1...5).map { worker(Double($0)) }
        #expect(makespan(units, lanes: 5) == 5)
        #expect(makespan(units, lanes: 50) == 5)
    }
}
