import Identifiers
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

@Suite struct WaitingOrdersTests {
    private let (one, two): (RoutingIdentity, RoutingIdentity)

    init() throws {
        (one, two) = (try RoutingIdentity("one"), try RoutingIdentity("two"))
    }

    private func order(_ unit: Int) -> WorkerOrder<UnitLease> {
        .revoke(LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(unit)), Attempt(1)))
    }

    @Test func `the orders of a worker share a message, in their order`() {
        var orders = WaitingOrders()
        for (unit, peer) in [(1, one), (2, two), (3, one)] { #expect(orders.add(order(unit), to: peer) == nil) }
        let taken = orders.take()
        #expect(taken.map(\.peer) == [one, two])
        #expect(taken.map(\.orders) == [[order(1), order(3)], [order(2)]])
        #expect(orders.take().isEmpty)
    }

    private func lease(subject: String, isBrief: Bool = true) -> UnitLease {
        UnitLease(
            leased: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(1)), Attempt(1)), title: "unit",
            subject: subject,
            operation: CombineStatisticsOperation(method: "ties", round: 0, partCount: 1),
            inputs: UnitInputs(blobs: []), files: [:], isBrief: isBrief)
    }

    @Test func `only small leases of brief units share a message`() {
        #expect(lease(subject: "blocks.0.fc").sharesMessage)
        #expect(!lease(subject: String(repeating: "h", count: 20_000)).sharesMessage)
        #expect(!lease(subject: "blocks.0.fc", isBrief: false).sharesMessage)
    }

    @Test func `a full message is sent before others are added`() {
        var orders = WaitingOrders()
        for unit in 1..<64 { #expect(orders.add(order(unit), to: one) == nil) }
        #expect(orders.add(order(64), to: one) == (1...64).map { order($0) })
        #expect(orders.take().isEmpty)
    }
}
