import Foundation
import Glibc

/// A datagram socket to which services send their notifications, in place of a service manager's.
public final class NotificationListener: Sendable {
    /// The value for `NOTIFY_SOCKET`.
    public let address: String
    private let descriptor: Int32

    /// A message did not arrive, or the socket cannot be made.
    public struct Failure: Error, CustomStringConvertible {
        /// The awaited message.
        public let description: String
    }

    /// Listens at a path or, after "@", at an abstract name.
    ///
    /// - Throws: ``Failure`` when the address cannot be used.
    public init(address: String) throws {
        self.address = address
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        var name = Array(address.utf8)
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let status = withUnsafePointer(to: &target) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard status == 0 else { throw Failure(description: "\(address) cannot be bound: errno \(errno)") }
    }

    deinit {
        close(descriptor)
        if address.hasPrefix("/") { unlink(address) }
    }

    /// The assignments of the next message, or `nil` when none waits.
    public func received() -> [String]? {
        message(flags: Int32(MSG_DONTWAIT))
    }

    /// Waits for the next message.
    ///
    /// - Throws: ``Failure`` when no message arrives within a minute.
    public func next() throws -> [String] {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard uninterrupted({ poll(&item, 1, 60_000) }) == 1, let message = message(flags: 0) else {
            throw Failure(description: "no notification came")
        }
        return message
    }

    /// Waits for a message with an assignment; returns all messages until then, including that one.
    ///
    /// - Throws: ``Failure`` when the message does not arrive.
    @discardableResult
    public func wait(for assignment: String) throws -> [[String]] {
        var messages: [[String]] = []
        repeat {
            do {
                messages.append(try next())
            } catch {
                throw Failure(description: "\"\(assignment)\" did not come; what came is \(messages)")
            }
        } while messages.last?.contains(where: { $0.hasPrefix(assignment) }) != true
        return messages
    }

    private func message(flags: Int32) -> [String]? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = uninterrupted { recv(descriptor, &bytes, bytes.count, flags) }
        guard count >= 0 else { return nil }
        return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
