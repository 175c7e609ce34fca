import Foundation
import Glibc
import Testing

/// A TCP connection that the test controls.
public final class RawConnection: Sendable {
    /// A greeting of ZMTP 3.0 with the mechanism NULL.
    ///
    /// Source: rfc.zeromq.org/spec/23.
    public static let greeting: [UInt8] =
        [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0] + Array("NULL".utf8) + [UInt8](repeating: 0, count: 48)

    private let descriptor: Int32

    /// A ZMTP 3.1 probe that asks for an answer.
    public static let ping: [UInt8] = [4, 7, 4] + Array("PING".utf8) + [0, 0]

    /// Connects as a dealer and completes the handshake, with a name if given; messages may follow only then.
    public convenience init(dealerTo port: UInt16, named name: String = "") throws {
        try self.init(to: port)
        try send(Self.greeting)
        _ = try bytes(64)
        let ready = [5] + Array("READY".utf8) + [11] + Array("Socket-Type".utf8) + [0, 0, 0, 6] + Array("DEALER".utf8)
        let body = ready + [8] + Array("Identity".utf8) + [0, 0, 0, UInt8(name.utf8.count)] + Array(name.utf8)
        try send([4, UInt8(body.count)] + body)
        _ = try bytes(1)
        _ = try bytes(Int(bytes(1)[0]))
    }

    /// A message of one frame, in pieces of 64 KiB and a last piece.
    public static func message(byteCount: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: byteCount, by: 64 << 10) {
            let count = min(byteCount - start, 64 << 10)
            bytes += [start + count < byteCount ? 3 : 2] + (0..<8).reversed().map { UInt8(count >> (8 * $0) & 0xff) }
            bytes += [UInt8](repeating: 7, count: count)
        }
        return bytes
    }

    /// Connects, and sends nothing.
    public init(to port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
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

    /// Makes the connection end by a reset instead of an orderly close.
    public func resetWhenClosed() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    /// Sends bytes; it is no failure if the other side has closed meanwhile.
    public func send(_ bytes: [UInt8]) throws {
        let sent = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        try #require(sent == bytes.count || errno == EPIPE || errno == ECONNRESET)
    }

    /// Sends as much as the other side takes before it closes.
    public func offer(_ bytes: [UInt8]) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// A message that the other side sent.
    public struct ReceivedMessage: Sendable {
        /// The bytes of the first frame.
        public var first: [UInt8] = []
        /// The number of bytes of the other frames.
        public var othersByteCount = 0
    }

    /// Reads messages until the other side closes, or sends nothing for a minute; answers its probes.
    ///
    /// The reader runs on a thread of its own, because it blocks and tests share few threads.
    public var messages: AsyncStream<ReceivedMessage> {
        let (stream, sink) = AsyncStream.makeStream(of: ReceivedMessage.self)
        Thread.detachNewThread { [self] in
            while let message = try? nextMessage() { sink.yield(message) }
            sink.finish()
        }
        return stream
    }

    private func nextMessage() throws -> ReceivedMessage {
        var message = ReceivedMessage()
        var isFirst = true
        while true {
            let flags = try bytes(1)[0]
            // The lowest bit says that another frame follows, the second that the size has eight bytes.
            let count = try bytes(flags & 2 == 0 ? 1 : 8).reduce(0) { $0 << 8 | Int($1) }
            let body = try bytes(count)
            if flags & 4 != 0 {
                // PING has a time of two bytes and a context, which PONG returns.
                guard body.starts(with: [4] + Array("PING".utf8)) else { continue }
                let pong = [4] + Array("PONG".utf8) + body.dropFirst(7)
                try send([4, UInt8(pong.count)] + pong)
                continue
            }
            if isFirst { message.first = body } else { message.othersByteCount += count }
            isFirst = false
            if flags & 1 == 0 { return message }
        }
    }

    /// The other side closed, or sent nothing for a minute.
    private struct Silence: Error {}

    private func bytes(_ count: Int) throws -> [UInt8] {
        // The kernel would wait for a byte even when none is asked for.
        guard count > 0 else { return [] }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = uninterrupted {
                    recv(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled, Int32(MSG_WAITALL))
                }
                guard got > 0 else { throw Silence() }
                filled += got
            }
        }
    }

    /// Reads until the other side has closed; returns false after a minute.
    ///
    /// The wait runs on a thread of its own, because it blocks and tests share few threads.
    public var isClosedByOther: Bool {
        get async {
            let (descriptor, done) = (descriptor, AsyncStream<Bool>.makeStream())
            Thread.detachNewThread { done.continuation.yield(Self.isClosedByOther(descriptor)) }
            return await done.stream.first { _ in true } ?? false
        }
    }

    private static func isClosedByOther(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = uninterrupted { recv(descriptor, &bytes, bytes.count, 0) }
            if count == 0 || count < 0 && errno == ECONNRESET { return true }
            if count < 0 { return false }
        }
    }
}
