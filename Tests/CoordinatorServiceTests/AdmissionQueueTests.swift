import Testing

@testable import CoordinatorService

/// The order in which job files are checked.
@Suite struct AdmissionQueueTests {
    /// A queue with submissions, by client, in the order of their tickets from 1 on.
    private func queue(places: Int, _ clients: [String]) -> AdmissionQueue<String> {
        var queue = AdmissionQueue<String>(places: places)
        for (index, client) in clients.enumerated() { _ = queue.append(UInt64(index + 1), of: client) }
        return queue
    }

    /// Takes a ticket for each free place.
    private func taken(from queue: inout AdmissionQueue<String>) -> [UInt64] {
        var tickets: [UInt64] = []
        while let ticket = queue.next() { tickets.append(ticket) }
        return tickets
    }

    @Test func `submissions are checked in the order in which they come`() {
        var queue = queue(places: 2, ["a", "b", "c"])
        let first = taken(from: &queue)
        queue.end(of: "a")
        let second = taken(from: &queue)
        #expect(first == [1, 2])
        #expect(second == [3])
    }

    @Test func `one client leaves a place to others, however much it submits`() {
        var queue = queue(places: 4, [String](repeating: "greedy", count: 30))
        let first = taken(from: &queue)
        _ = queue.append(100, of: "other")
        let second = taken(from: &queue)
        // Current checks count: the client with fewer of them comes first.
        _ = queue.append(101, of: "third")
        queue.end(of: "greedy")
        let third = taken(from: &queue)
        #expect(first == [1, 2, 3])
        #expect(second == [100])
        #expect(third == [101])
    }

    @Test func `a client and all together wait in bounded number`() {
        let most = AdmissionQueue<String>.waitingPerClient
        var queue = queue(places: 1, (0..<100).flatMap { [String](repeating: "\($0)", count: most + 5) })
        let late = queue.append(10_000, of: "late")
        queue.remove(1)
        let afterwards = queue.append(10_001, of: "late")
        #expect(queue.waitingCount == AdmissionQueue<String>.waitingMax)
        #expect(!late)
        #expect(afterwards)
    }

    @Test func `with one place it is given all the same`() {
        var queue = queue(places: 1, ["a", "a"])
        let tickets = taken(from: &queue)
        #expect(tickets == [1])
    }
}
