internal import CZeroMQ
internal import Glibc

/// A second descriptor of a connection that libzmq owns.
///
/// It still refers to the connection when libzmq has closed its own.
final class DescriptorWitness: ConnectionWitness, Sendable {
    let host: String
    private let descriptor: Int32

    /// Duplicates the descriptor; `nil` when the process may have no more.
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

/// How many connections a process may have; the limit leaves descriptors for everything else that it opens.
struct ConnectionRoom {
    /// Connections that have not delivered a message; each takes two descriptors.
    let unheard: Int
    /// All connections.
    let all: Int

    /// Divides the descriptors: a quarter for connections that have not delivered a message, a quarter for the others.
    init(limits: ChannelLimits, descriptorsMax: Int = ConnectionRoom.descriptorsMax) {
        unheard = max(min(limits.unheardConnections, descriptorsMax / 8), 8)
        all = max(min(limits.connections, descriptorsMax / 8 + descriptorsMax / 4), 16)
    }

    /// The number of descriptors that this process may have (`RLIMIT_NOFILE`).
    static var descriptorsMax: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }
}
