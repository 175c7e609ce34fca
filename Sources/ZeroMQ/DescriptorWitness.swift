internal import CZeroMQ
internal import Glibc

/// A descriptor of our own for a connection of libzmq's, which stays the connection's when libzmq has closed its own.
final class DescriptorWitness: ConnectionWitness, Sendable {
    let host: String
    private let descriptor: Int32

    /// Takes one; `nil` when the process may have no more.
    init?(of connection: PeerConnection) {
        let descriptor = fcntl(connection.descriptor, F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        host = connection.host
    }

    deinit { close(descriptor) }

    var bytes: (received: UInt64, sent: UInt64)? {
        ConnectionBytes(of: descriptor).map { ($0.received, $0.sent) }
    }

    var unreadBytes: UInt64 { UInt64(max(czeromq_unread_bytes(descriptor), 0)) }

    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}

/// How many connections a process may have, so that descriptors are left for all else that it opens.
struct ConnectionRoom {
    /// Connections by which no message has come yet, of which each takes two descriptors.
    let unheard: Int
    /// All connections.
    let all: Int

    /// Shares what the process may open: a quarter for connections that are not heard yet, as much for the others.
    init(limits: ChannelLimits, descriptorsMax: Int = ConnectionRoom.descriptorsMax) {
        unheard = max(min(limits.unheardConnections, descriptorsMax / 8), 8)
        all = max(min(limits.connections, descriptorsMax / 8 + descriptorsMax / 4), 16)
    }

    /// How many descriptors this process may have (`RLIMIT_NOFILE`).
    static var descriptorsMax: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }
}
