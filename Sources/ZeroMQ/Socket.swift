internal import CZeroMQ
internal import Glibc

/// One libzmq socket.
///
/// Not copyable and not Sendable: only the thread that makes the socket can use it, as libzmq demands (zmq_socket(3),
/// Thread safety). The socket closes when it goes out of scope. Unsent messages linger in the background.
@safe
struct Socket: ~Copyable {
    enum Kind {
        case router
        case dealer
        case pair
    }

    /// The outcome of a send that did not fail.
    enum SendOutcome {
        case sent
        /// The queue is full, or no peer is connected; nothing was taken.
        case wouldBlock
        /// The router knows no such peer; nothing was taken.
        case unreachable
    }

    private let handle: UnsafeMutableRawPointer
    // Keeps the context alive. Its termination would wait for this socket on the wrong thread.
    private let context: Context

    init(_ kind: Kind, in context: Context) throws(ZeroMQError) {
        self.context = context
        switch kind {
        case .router: unsafe handle = try context.makeSocketHandle(type: ZMQ_ROUTER, name: "ZMQ_ROUTER")
        case .dealer: unsafe handle = try context.makeSocketHandle(type: ZMQ_DEALER, name: "ZMQ_DEALER")
        case .pair: unsafe handle = try context.makeSocketHandle(type: ZMQ_PAIR, name: "ZMQ_PAIR")
        }
    }

    deinit {
        unsafe zmq_close(handle)
    }

    // MARK: - Options

    func set(_ option: Int32, _ name: String, to value: Int32) throws(ZeroMQError) {
        var value = value
        let size = MemoryLayout<Int32>.size
        guard unsafe zmq_setsockopt(handle, option, &value, size) == 0 else {
            throw .lastCallFailed("zmq_setsockopt(\(name), \(value))")
        }
    }

    func set(_ option: Int32, _ name: String, toWide value: Int64) throws(ZeroMQError) {
        var value = value
        let size = MemoryLayout<Int64>.size
        guard unsafe zmq_setsockopt(handle, option, &value, size) == 0 else {
            throw .lastCallFailed("zmq_setsockopt(\(name), \(value))")
        }
    }

    /// Sets an option to bytes; an error does not quote them, because they may be a secret key.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the option is as it was.
    func set(_ option: Int32, _ name: String, to bytes: [UInt8]) throws(ZeroMQError) {
        guard unsafe zmq_setsockopt(handle, option, bytes, bytes.count) == 0 else {
            throw .lastCallFailed("zmq_setsockopt(\(name))")
        }
    }

    // MARK: - Addresses

    func bind(to address: String) throws(ZeroMQError) {
        guard unsafe zmq_bind(handle, address) == 0 else { throw .lastCallFailed("zmq_bind(\(address))") }
    }

    func connect(to address: String) throws(ZeroMQError) {
        guard unsafe zmq_connect(handle, address) == 0 else { throw .lastCallFailed("zmq_connect(\(address))") }
    }

    /// The address bound last, with the port or path that the kernel chose.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the socket stays bound.
    func lastEndpoint() throws(ZeroMQError) -> String {
        var bytes = [UInt8](repeating: 0, count: 1024)
        var byteCount = bytes.count
        guard unsafe zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &bytes, &byteCount) == 0 else {
            throw .lastCallFailed("zmq_getsockopt(ZMQ_LAST_ENDPOINT)")
        }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Starts to publish this socket's events to a PAIR socket at `address`.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; nothing is published.
    func startMonitor(at address: String, events: Int32) throws(ZeroMQError) {
        guard unsafe zmq_socket_monitor(handle, address, events) == 0 else {
            throw .lastCallFailed("zmq_socket_monitor(\(address))")
        }
    }

    func stopMonitor() {
        unsafe zmq_socket_monitor(handle, nil, 0)
    }

    // MARK: - Frames

    /// Hands one frame to libzmq without waiting.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; nothing was taken.
    func send(_ frame: Frame, hasMore: Bool) throws(ZeroMQError) -> SendOutcome {
        var message = zmq_msg_t()
        guard message.initialize(sharing: frame) else { throw .lastCallFailed("zmq_msg_init_data()") }
        let flags = ZMQ_DONTWAIT | (hasMore ? ZMQ_SNDMORE : 0)
        while unsafe zmq_msg_send(&message, handle, flags) < 0 {
            let errorNumber = zmq_errno()
            if errorNumber == EINTR { continue }
            // A message that was not taken is still ours, and so is its retained owner.
            unsafe zmq_msg_close(&message)
            switch errorNumber {
            case EAGAIN: return .wouldBlock
            case EHOSTUNREACH: return .unreachable
            default: throw .callFailed(call: "zmq_msg_send()", errorNumber: errorNumber)
            }
        }
        return .sent
    }

    /// Takes one frame without waiting, or returns nil when none is there.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; nothing was taken.
    func receive() throws(ZeroMQError) -> ReceivedFrame? {
        let received = try ReceivedFrame()
        while unsafe zmq_msg_recv(received.message, handle, ZMQ_DONTWAIT) < 0 {
            switch zmq_errno() {
            case EINTR: continue
            case EAGAIN: return nil
            case let errorNumber: throw .callFailed(call: "zmq_msg_recv()", errorNumber: errorNumber)
            }
        }
        return received
    }

    /// The events that zmq_poll watches on this socket.
    func pollItem(events: Int32) -> zmq_pollitem_t {
        unsafe zmq_pollitem_t(socket: handle, fd: 0, events: Int16(truncatingIfNeeded: events), revents: 0)
    }
}
