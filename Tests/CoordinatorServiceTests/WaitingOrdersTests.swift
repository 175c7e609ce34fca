import Identifiers
import Testing
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
        #expect(taken.map(\.0) == [one, two])
        #expect(
            taken.map(\.1) == [
                .coordinatorSequence([.order(order(1)), .order(order(3))]), .coordinator(.order(order(2))),
            ])
        #expect(orders.take().isEmpty)
    }

    @Test func `a full message is sent before others are added`() {
        var orders = WaitingOrders()
        for unit in 1..<64 { #expect(orders.add(order(unit), to: one) == nil) }
        #expect(orders.add(order(64), to: one) == .coordinatorSequence((1...64).map { .order(order($0)) }))
        #expect(orders.take().isEmpty)
    }
}
