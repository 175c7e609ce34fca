internal import CZeroMQ
internal import Glibc

/// A libzmq context: the I/O threads that sockets share.
///
/// Every socket keeps its context alive, so the context is terminated after its last socket is closed. Termination
/// waits up to the linger time for unsent messages.
@safe
public final class Context: @unchecked Sendable {
    // @unchecked Sendable because libzmq contexts are thread-safe and the pointer never changes (zmq_ctx_new(3)).
    private let handle: UnsafeMutableRawPointer

    /// Makes a context.
    ///
    /// - Parameter ioThreadCount: threads that move bytes. One thread serves about a gigabyte a second of encrypted
    ///   traffic.
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; nothing was made.
    public init(ioThreadCount: Int = 1) throws(ZeroMQError) {
        guard let handle = unsafe zmq_ctx_new() else { throw .lastCallFailed("zmq_ctx_new()") }
        let count = Int32(clamping: ioThreadCount)
        guard unsafe zmq_ctx_set(handle, ZMQ_IO_THREADS, count) == 0 else {
            let error = ZeroMQError.lastCallFailed("zmq_ctx_set(ZMQ_IO_THREADS, \(count))")
            unsafe zmq_ctx_term(handle)
            throw error
        }
        unsafe self.handle = handle
    }

    deinit {
        while unsafe zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
    }

    /// Makes a raw socket; the caller owns it and must use it on one thread only.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``, for example when the context has 1023 sockets; none was
    ///   made.
    func makeSocketHandle(type: Int32, name: String) throws(ZeroMQError) -> UnsafeMutableRawPointer {
        guard let socket = unsafe zmq_socket(handle, type) else { throw .lastCallFailed("zmq_socket(\(name))") }
        return unsafe socket
    }
}

extension ZeroMQError {
    /// The error of the libzmq call that just failed on this thread.
    static func lastCallFailed(_ call: String) -> ZeroMQError {
        .callFailed(call: call, errorNumber: zmq_errno())
    }
}
