import Foundation
import Glibc
import TestSupport
import Testing

/// A peer that writes ZeroMQ's transport byte by byte, so that it can send what our programs never would.
///
/// Source: ZMTP 3.0 (rfc.zeromq.org/spec/23), mechanism NULL. Every wait is bounded by a minute.
final class RawPeer {
    private let descriptor: Int32

    /// The other side did not do what it must.
    ///
    /// It is thrown, and not recorded, because a peer that nobody waits for may go at any time.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Connects to a port of this machine, and completes the handshake as a client's socket.
    ///
    /// - Throws: ``Failure`` without an answer that fits the protocol.
    convenience init(connectingTo port: UInt16) throws {
        self.init(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = Self.loopback(port)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard status == 0 else { throw Failure(description: "nobody listens at port \(port)") }
        try shakeHands(as: "DEALER")
    }

    /// A listener on a port of this machine that the kernel chose.
    final class Listener {
        private let descriptor: Int32
        let port: UInt16

        /// Starts to listen.
        ///
        /// - Throws: what the requirement throws when the kernel refuses.
        init() throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = RawPeer.loopback(0)
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size) + listen(descriptor, 8) + getsockname(descriptor, $0, &size)
                }
            }
            port = UInt16(bigEndian: address.sin_port)
            try #require(status == 0)
        }

        deinit { close(descriptor) }

        /// Whether a peer connects in time.
        func isAsked(withinMilliseconds limit: Int32) -> Bool {
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return uninterrupted { Glibc.poll(&poll, 1, limit) } == 1
        }

        /// Accepts the next connection, and completes the handshake as a coordinator's socket.
        ///
        /// - Throws: ``Failure`` when no peer connects in time, or a peer goes away.
        func accept() throws -> RawPeer {
            guard isAsked(withinMilliseconds: 60_000) else { throw Failure(description: "no peer connects") }
            let peer = RawPeer(Glibc.accept(descriptor, nil, nil))
            try peer.shakeHands(as: "ROUTER")
            return peer
        }
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: UInt32(0x7F00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
    }

    // MARK: - Frames

    /// Sends a message of one short frame.
    ///
    /// - Throws: ``Failure`` when the connection is gone.
    func send(_ frame: [UInt8]) throws {
        guard offer(frame) else { throw Failure(description: "the connection is gone") }
    }

    /// Sends a message of one short frame, to a peer that may have hung up.
    ///
    /// - Returns: False when the connection is gone.
    func offer(_ frame: [UInt8]) -> Bool {
        let bytes = [0, UInt8(frame.count)] + frame
        return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// The first frame of the next message; commands are skipped.
    ///
    /// - Throws: ``Failure`` when no message arrives in time.
    func receive() throws -> [UInt8] {
        var first: [UInt8]?
        while true {
            let flags = try read(1)[0]
            let length = try read(flags & 2 == 0 ? 1 : 8).reduce(0) { $0 << 8 | Int($1) }
            let body = try read(length)
            if flags & 4 != 0 { continue }
            let frame = first ?? body
            if flags & 1 == 0 { return frame }
            first = frame
        }
    }

    private func shakeHands(as socketType: String) throws {
        let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
        let signature: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F]
        try write(signature + [3, 0] + mechanism + [UInt8](repeating: 0, count: 32))
        _ = try read(64)
        let (key, type) = (Array("Socket-Type".utf8), Array(socketType.utf8))
        let ready = [5] + Array("READY".utf8) + [UInt8(key.count)] + key + [0, 0, 0, UInt8(type.count)] + type
        try write([4, UInt8(ready.count)] + ready)
    }

    private func write(_ bytes: [UInt8]) throws {
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(description: "the connection is gone")
        }
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                let rest = $0.baseAddress.map { $0 + filled }
                return uninterrupted { recv(descriptor, rest, count - filled, 0) }
            }
            guard got > 0 else {
                throw Failure(description: "the peer says nothing more after \(filled) of \(count) bytes")
            }
            filled += got
        }
        return bytes
    }
}
