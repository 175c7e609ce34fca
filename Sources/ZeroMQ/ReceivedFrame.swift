internal import CZeroMQ
internal import Glibc

/// The owner of one `zmq_msg_t`; libzmq fills it, and the object closes it when it is released.
@safe
final class ReceivedFrame: @unchecked Sendable {
    // @unchecked Sendable because the socket's thread fills it before anyone else sees it. Later it is only read.
    let message: UnsafeMutablePointer<zmq_msg_t>

    init() throws(ZeroMQError) {
        // On the heap: small messages hold their bytes within the structure, so its address must not change.
        unsafe message = .allocate(capacity: 1)
        unsafe message.initialize(to: zmq_msg_t())
        unsafe zmq_msg_init(message)
    }

    deinit {
        unsafe zmq_msg_close(message)
        unsafe message.deallocate()
    }

    /// Whether another frame of the same message follows.
    var hasMore: Bool { unsafe zmq_msg_more(message) != 0 }

    var byteCount: Int { unsafe zmq_msg_size(message) }

    /// The user that the authenticator named for the connection, if any (RFC 27, User-Id).
    var userID: String? {
        guard let text = unsafe zmq_msg_gets(message, "User-Id") else { return nil }
        let user = unsafe String(cString: text)
        return user.isEmpty ? nil : user
    }

    /// The descriptor of the connection by which the frame came; −1 when there is none.
    var descriptor: Int32 { unsafe zmq_msg_get(message, ZMQ_SRCFD) }

    /// The bytes as a frame that keeps this object alive.
    var frame: Frame {
        let bytes = unsafe UnsafeRawBufferPointer(start: zmq_msg_data(message), count: byteCount)
        return unsafe Frame(owner: self, unsafeBytes: bytes)
    }
}

/// Releases a frame's owner; libzmq calls this on one of its I/O threads when it is done with the shared memory.
private func releaseOwner(_: UnsafeMutableRawPointer?, _ owner: UnsafeMutableRawPointer?) {
    guard let owner = unsafe owner else { return }
    unsafe Unmanaged<AnyObject>.fromOpaque(owner).release()
}

extension Frame {
    /// Whether libzmq shares the bytes; below this size a copy costs less than libzmq's bookkeeping for shared memory.
    var isShared: Bool { byteCount > 512 }
}

extension zmq_msg_t {
    /// Makes a message of a frame's bytes; large frames are shared: their owner is retained until libzmq is done.
    ///
    /// - Returns: false when libzmq has no memory. The errno is set.
    mutating func initialize(sharing frame: Frame) -> Bool {
        guard frame.isShared else { return initialize(copying: frame) }
        let owner = unsafe Unmanaged<AnyObject>.passRetained(frame.owner)
        // libzmq takes a pointer to mutable memory, but only reads what it sends.
        let start = unsafe UnsafeMutableRawPointer(mutating: frame.unsafeBytes.baseAddress)
        guard unsafe zmq_msg_init_data(&self, start, frame.byteCount, releaseOwner, owner.toOpaque()) == 0 else {
            unsafe owner.release()
            return false
        }
        return true
    }

    private mutating func initialize(copying frame: Frame) -> Bool {
        guard unsafe zmq_msg_init_size(&self, frame.byteCount) == 0 else { return false }
        let target = unsafe UnsafeMutableRawBufferPointer(start: zmq_msg_data(&self), count: frame.byteCount)
        frame.withBytes { source in
            unsafe source.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
        }
        return true
    }
}
