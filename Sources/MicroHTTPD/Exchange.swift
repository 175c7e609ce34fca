internal import CMicroHTTPD
internal import Synchronization

/// One request on its way to its response.
final class Exchange: Sendable {
    /// How far the request has come.
    enum Stage {
        /// Its header was read; its body, if any, is left out.
        case read
        /// The handler works, and the connection is suspended.
        case underWay
        /// The response is there.
        case answered(HTTPResponse)
        /// The server ends, and the connection without a response.
        case dropped
    }

    let stage = Mutex(Stage.read)
}

/// A connection of libmicrohttpd.
///
/// It is valid while it is suspended, and while the library asks about it.
@safe
struct Connection: @unchecked Sendable {
    // @unchecked Sendable because the library's functions may be called on any thread.

    let pointer: OpaquePointer

    func suspend() { unsafe MHD_suspend_connection(pointer) }

    func resume() { unsafe MHD_resume_connection(pointer) }

    /// Sends a response.
    ///
    /// - Returns: What the library takes for the result; without success it ends the connection.
    func send(_ response: HTTPResponse) -> MHD_Result {
        var body = response.body
        let made = body.withUTF8 { bytes in
            // The library copies the bytes and never writes to them.
            let start = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            return unsafe MHD_create_response_from_buffer(bytes.count, start, .RESPMEM_MUST_COPY)
        }
        guard let made = unsafe made else { return .NO }
        defer { unsafe MHD_destroy_response(made) }
        for (name, value) in response.headers.sorted(by: { $0.key < $1.key }) {
            guard unsafe MHD_add_response_header(made, name, value) == .YES else { return .NO }
        }
        return unsafe MHD_queue_response(pointer, UInt32(response.status), made)
    }
}
