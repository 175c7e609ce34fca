internal import Glibc

/// Faults of an endpoint that can be found before anybody waits for an answer.
extension Endpoint {
    /// What is wrong with the address for a socket that connects; `nil` when no fault is visible.
    public var connectingProblem: String? {
        guard transport != .inproc else {
            return "\(description): inproc reaches only this process; expected tcp://HOST:PORT or ipc://PATH."
        }
        guard !isConnectable else { return nil }
        return "\(description): cannot be connected to; expected a definite host and a port from 1 to 65535."
    }

    /// Why nobody can be reached at the endpoint now; `nil` when no fault is visible within the time.
    ///
    /// A thread of its own asks the name server. It goes on after the time is over.
    ///
    /// - Parameter limit: How long the name server may take.
    /// - Returns: The reason, as a clause.
    public func unreachability(within limit: Duration) async -> String? {
        if let path = socketPath { return Self.absence(ofSocketAt: path) }
        guard transport == .tcp, let host, host != "*", !isIPv6, !Self.isNumeric(host) else { return nil }
        let (answers, sink) = AsyncStream.makeStream(of: String?.self)
        let thread = try? SocketThread(name: "kfacd-names") {
            sink.yield(Self.resolutionFailure(host))
            sink.finish()
        }
        guard thread != nil else { return nil }
        return await withTaskGroup(of: String?.self) { group in
            group.addTask {
                for await answer in answers { return answer }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return "the name server did not say within \(limit.components.seconds) s what \"\(host)\" is"
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private static func absence(ofSocketAt path: String) -> String? {
        switch connects(to: path) {
        case ENOENT: "there is no socket \(path)"
        case ECONNREFUSED: "nobody listens any more at the socket \(path)"
        case ENOTSOCK: "\(path) is no socket"
        case EACCES: "this user may not write to the socket \(path)"
        default: nil
        }
    }

    /// Asks the name server; blocks.
    private static func resolutionFailure(_ host: String) -> String? {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, nil, &hints, &list)
        guard result != 0 else {
            unsafe freeaddrinfo(list)
            return nil
        }
        return switch result {
        case EAI_NONAME: "no machine of the name \"\(host)\" is known"
        case EAI_AGAIN: "the name server does not answer for \"\(host)\""
        default: "\"\(host)\" cannot be looked up: \(unsafe String(cString: gai_strerror(result)))"
        }
    }
}
