import Synchronization
import Testing
import ZeroMQ

struct UnheardConnectionsTests {
    /// A connection with the kernel's counts.
    private final class Line: ConnectionWitness, Sendable {
        struct State {
            var bytes: (received: UInt64, sent: UInt64)? = (64, 64)
            var unread: UInt64 = 0
            var isEnded = false
        }

        let host: String
        let state = Mutex(State())

        init(_ host: String = "a") { self.host = host }

        var bytes: (received: UInt64, sent: UInt64)? { state.withLock { $0.bytes } }
        var unreadBytes: UInt64 { state.withLock { $0.unread } }
        var isEnded: Bool { state.withLock { $0.isEnded } }
        func hangUp() { state.withLock { $0.isEnded = true } }
        func count(received: UInt64, sent: UInt64, unread: UInt64 = 0) {
            state.withLock { ($0.bytes, $0.unread) = ((received, sent), unread) }
        }
    }

    private let start = ContinuousClock.now

    private func connections(count: Int = 16, needsKeys: Bool = true) -> UnheardConnections<Line> {
        UnheardConnections(
            bounds: .init(count: count, handshakeBytes: 4096, silence: .seconds(30), needsKeys: needsKeys))
    }

    /// Begins connections with consecutive descriptors.
    private func begin(
        _ lines: [Line], from first: Int32 = 0, in connections: inout UnheardConnections<Line>
    ) {
        for (index, line) in lines.enumerated() {
            #expect(connections.begin(line, descriptor: first + Int32(index), at: start) == nil)
        }
    }

    @Test func `above the bound the host with the most loses its oldest, and no other host loses any`() {
        var connections = connections()
        let (own, others) = ([Line("b"), Line("b")], (0..<15).map { _ in Line("a") })
        begin(own, in: &connections)
        begin(others, from: 100, in: &connections)
        #expect(others.map(\.isEnded) == [true, true] + [Bool](repeating: false, count: 13))
        #expect(own.allSatisfy { !$0.isEnded })
        #expect(connections.count == 15)
        // More of these connections change nothing for the other host, and their number stays bounded.
        for number in 0..<1000 {
            begin([Line("a")], from: 200 + Int32(number), in: &connections)
            #expect(connections.count <= 16)
        }
        #expect(own.allSatisfy { !$0.isEnded })
    }

    @Test func `the newest of a crowd stays for seven eighths of the bound`() {
        var connections = connections(count: 80)
        begin((0..<80).map { _ in Line() }, in: &connections)
        let honest = Line()
        begin([honest], from: 100, in: &connections)
        begin((0..<69).map { _ in Line() }, from: 200, in: &connections)
        #expect(!honest.isEnded)
    }

    @Test func `who has proved a key outlives those who have not`() {
        var connections = connections()
        let proved = Line()
        proved.count(received: 800, sent: 301)
        begin([proved], in: &connections)
        begin((0..<100).map { _ in Line() }, from: 100, in: &connections)
        #expect(!proved.isEnded)
    }

    @Test func `many who have proved a key and say nothing do not keep others out`() {
        var connections = connections()
        let silent = (0..<16).map { _ in Line() }
        for line in silent { line.count(received: 800, sent: 301) }
        begin(silent, in: &connections)
        let newcomer = Line()
        begin([newcomer], from: 100, in: &connections)
        #expect(silent.map(\.isEnded) == [true, true] + [Bool](repeating: false, count: 14))
        #expect(!newcomer.isEnded)
    }

    @Test func `bytes beyond a handshake end who has not proved a key, and nobody else`() {
        var connections = connections()
        let lines = (0..<3).map { _ in Line() }
        lines[0].count(received: 4097, sent: 246)
        lines[1].count(received: 4096, sent: 246)
        lines[2].count(received: 50 << 20, sent: 301)
        begin(lines, in: &connections)
        #expect(connections.settle(at: start).isEmpty)
        #expect(lines.map(\.isEnded) == [true, false, false])
        connections.end(descriptor: 0)
        #expect(connections.settle(at: start).isEmpty)
        let ends = connections.settle(at: start)
        #expect(ends.map(\.host) == ["a"])
        #expect(ends.map(\.1) == [.excessive])
    }

    @Test func `who says nothing in time is ended, and who is heard is none of these`() {
        var connections = connections()
        let lines = [Line(), Line()]
        begin(lines, in: &connections)
        connections.deliver(descriptor: 1)
        _ = connections.settle(at: start + .seconds(31))
        #expect(lines.map(\.isEnded) == [true, false])
        #expect(connections.count == 0)
    }

    @Test(arguments: [(true, 0), (false, 1000 + 48 * 1024)])
    func `a handshake that was not finished leaves nothing where keys are asked for`(needsKeys: Bool, kept: UInt64) {
        var connections = connections(needsKeys: needsKeys)
        let line = Line()
        line.count(received: 3 << 20, sent: 246, unread: (3 << 20) - 1000)
        begin([line], in: &connections)
        connections.end(descriptor: 0)
        for _ in 0..<2 { _ = connections.settle(at: start) }
        #expect(connections.leftBytes == kept)
        #expect(connections.isEmpty)
    }

    @Test func `what a connection with a key leaves unheard is counted, also when another has its number by then`() {
        var connections = connections()
        let line = Line()
        line.count(received: 5000, sent: 400)
        begin([line], in: &connections)
        let end = connections.begin(Line(), descriptor: 0, at: start)
        #expect(end?.host == "a")
        #expect(end?.1 == .failed)
        #expect(connections.leftBytes == 5000 + 48 * 1024)
        #expect(connections.count == 1)
    }

    @Test func `a connection whose message comes after its end leaves nothing`() {
        var connections = connections()
        let line = Line()
        line.count(received: 5000, sent: 400)
        begin([line], in: &connections)
        connections.end(descriptor: 0)
        #expect(connections.settle(at: start, isDrained: false).isEmpty)
        #expect(connections.settle(at: start).isEmpty)
        connections.deliver(descriptor: 0)
        #expect(connections.settle(at: start).isEmpty)
        #expect(connections.leftBytes == 0)
        #expect(connections.count == 0)
    }

    @Test func `a report names the hosts with the most, and says why`() {
        var report = UnheardConnectionsReport()
        for number in 0..<100 { report.add("10.0.0.\(number)", .failed) }
        for _ in 0..<5 { report.add("10.0.0.7", .crowded) }
        report.add("10.0.0.9", .silent)
        #expect(report.count == 106)
        #expect(report.hosts.count == 64)
        #expect(
            report.description
                == "from 10.0.0.7 (6), 10.0.0.9 (2), 10.0.0.0 (1) and others: 100 ended in or before the handshake, "
                + "5 ended to make room, 1 said nothing in time")
    }
}
