import Identifiers
import Testing
import UnitOperations
import WireProtocol

@testable import Messaging

@Suite struct WaitingReportsTests {
    private func unit(_ number: Int) -> LeasedUnit {
        LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(number)), Attempt(1))
    }

    private func finished(_ number: Int) -> WorkerMessage {
        .finished(unit(number), UnitResult(), elapsedSeconds: 1, kernelSeconds: 1)
    }

    @Test func `words leave together, in their order`() {
        let reports = WaitingReports()
        let words: [WorkerMessage] = [.started(unit(1)), .held([]), .dropped([]), .started(unit(2))]
        for word in words { #expect(!reports.add(word)) }
        #expect(reports.take() == words)
        #expect(reports.isEmpty)
        #expect(reports.take() == [])
    }

    @Test func `the end of a unit makes the report of its start needless, and no other`() {
        let reports = WaitingReports()
        for word in [.started(unit(1)), .started(unit(2)), finished(1)] { _ = reports.add(word) }
        #expect(reports.take() == [.started(unit(2)), finished(1)])
        _ = reports.add(finished(2))
        #expect(reports.take() == [finished(2)])
    }

    @Test func `a lane is told when no more words may wait`() {
        let reports = WaitingReports()
        let isFull = (1...WaitingReports.countMax).map { reports.add(.started(unit($0))) }
        #expect(isFull == Array(repeating: false, count: WaitingReports.countMax - 1) + [true])
    }

    @Test(.timeLimit(.minutes(1))) func `the first word that waits is an arrival`() async {
        let reports = WaitingReports()
        _ = reports.add(.started(unit(1)))
        var arrivals = reports.arrivals.makeAsyncIterator()
        await arrivals.next()
        _ = reports.take()
        _ = reports.add(.started(unit(2)))
        await arrivals.next()
        #expect(reports.take() == [.started(unit(2))])
    }
}
