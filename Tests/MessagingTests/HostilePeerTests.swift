import Foundation
import Glibc
import Keys
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// What arrives at the coordinator's port from those who do not keep to the protocol.
@Suite(.timeLimit(.minutes(2))) struct HostilePeerTests {
    private let context: Context
    private let endpoint: CoordinatorEndpoint
    private let port: UInt16

    init() async throws {
        context = try Context()
        endpoint = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        port = try #require(endpoint.endpoint.port)
    }

    /// Expects that a well-behaved client is answered, whatever else goes on.
    private func expectService(_ number: UInt64 = 1) async throws {
        let client = try await MessageChannel.connect(endpoint.endpoint, context: context)
        try await client.send(try Message(.request(number, .jobs)))
        while true {
            guard case .message(.request(number, .jobs), _, let peer) = await endpoint.next() else { continue }
            await endpoint.send(.reply(number, .jobs([])), to: peer)
            break
        }
        #expect(try await client.receive().decoded().message == .reply(number, .jobs([])))
        await client.close(flushingFor: .zero)
    }

    @Test func `bytes that are no greeting cost their sender the connection`() async throws {
        var random = SplitMix64(seed: 1)
        // What begins like an old version's greeting is waited for until the limit of a handshake: all at once.
        let peers = try [1, 10, 64, 1000].map { length in
            let peer = try RawConnection(to: port)
            try peer.send((0..<length).map { _ in UInt8.random(in: 1...0xfe, using: &random) } + RawConnection.greeting)
            return peer
        }
        for peer in peers { #expect(peer.isClosedByOther) }
        try await expectService()
        await endpoint.close()
    }

    @Test func `half a greeting and silence hold up nobody`() async throws {
        let peers = try (0..<50).map { count in
            let peer = try RawConnection(to: port)
            try peer.send(Array(RawConnection.greeting.prefix(count)))
            return peer
        }
        try await expectService()
        withExtendedLifetime(peers) {}
        await endpoint.close()
    }

    @Test func `a frame that announces more than is allowed costs the connection before a byte of it comes`()
        async throws
    {
        for size: UInt64 in [UInt64(WireLimits.messageBytesMax) + 1, 1 << 40, .max >> 1, .max] {
            let peer = try RawConnection(dealerTo: port)
            try peer.send([2] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: size >> (8 * UInt64($0))) })
            #expect(peer.isClosedByOther, "\(size)")
        }
        try await expectService()
        await endpoint.close()
    }

    @Test func `a peer that goes on sending what is no message loses its connection`() async throws {
        let peer = try RawConnection(dealerTo: port)
        for _ in 0..<4 { try peer.send([0, 3, 0xff, 0xff, 0xff]) }
        for _ in 0..<3 {
            guard case .refused = await endpoint.next() else {
                Issue.record("what is no message was taken in")
                return
            }
        }
        try await expectService()
        #expect(peer.isClosedByOther)
        await endpoint.close()
    }

    @Test func `a message of too many frames costs its sender the connection`() async throws {
        let peer = try RawConnection(dealerTo: port)
        try peer.send([1, 1, 0, 1, 1, 0, 0, 1, 0])
        #expect(peer.isClosedByOther)
        try await expectService()
        await endpoint.close()
    }

    @Test func `five hundred connections that say nothing do not keep a client out`() async throws {
        let peers = try (0..<500).map { _ in try RawConnection(to: port) }
        try await expectService()
        withExtendedLifetime(peers) {}
        await endpoint.close()
    }

    @Test func `what a peer does not read is dropped at a bound, and others get theirs`() async throws {
        let peer = try RawConnection(dealerTo: port)
        let request = try WireMessage.request(1, .jobs).encoded()
        try peer.send([0, UInt8(request.count)] + request)
        guard case .message(_, _, let identity) = await endpoint.next() else {
            Issue.record("the request was not taken in")
            return
        }
        // Shared bytes, so that the test itself holds one megabyte only.
        let chunk = Frame([UInt8](repeating: 7, count: 1 << 20))
        for _ in 0..<4096 { await endpoint.send(.reply(1, .outputChunk(offset: 0)), payload: chunk, to: identity) }
        try await expectService(2)
        let statistics = endpoint.statistics
        #expect(statistics.outboundMessages == 0)
        #expect(statistics.droppedMessages >= 4096 - 1024 - 64)
        withExtendedLifetime(peer) {}
        await endpoint.close()
    }
}

/// A TCP connection of the test's own.
private final class RawConnection {
    /// A greeting of ZMTP 3.0 with the mechanism NULL.
    ///
    /// Source: rfc.zeromq.org/spec/23.
    static let greeting: [UInt8] =
        [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0] + Array("NULL".utf8) + [UInt8](repeating: 0, count: 48)

    private let descriptor: Int32

    /// Connects and shakes hands as a dealer; nothing may be said before both sides have.
    convenience init(dealerTo port: UInt16) throws {
        try self.init(to: port)
        try send(Self.greeting)
        try skip(64)
        let body = [5] + Array("READY".utf8) + [11] + Array("Socket-Type".utf8) + [0, 0, 0, 6] + Array("DEALER".utf8)
        try send([4, UInt8(body.count)] + body)
        try skip(1)
        try skip(Int(skip(1)[0]))
    }

    init(to port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: UInt32(0x7f00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
    }

    deinit { close(descriptor) }

    /// Sends bytes; that the other side has closed meanwhile is no failure.
    func send(_ bytes: [UInt8]) throws {
        let sent = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        try #require(sent == bytes.count || errno == EPIPE || errno == ECONNRESET)
    }

    @discardableResult
    private func skip(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try #require(recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count)
        return bytes
    }

    /// Reads until the other side has closed; false when it has not within twenty seconds.
    var isClosedByOther: Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count == 0 || count < 0 && errno == ECONNRESET { return true }
            if count < 0 { return false }
        }
    }
}
