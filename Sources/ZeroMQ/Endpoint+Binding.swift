internal import Glibc

/// What prevents listening at an endpoint, in words.
extension Endpoint {
    /// What is wrong with the address for a socket that listens; `nil` when no fault is visible.
    ///
    /// The socket library listens at addresses and interfaces. For a host name it reports only an unavailable resource.
    public var bindingProblem: String? {
        switch transport {
        case .tcp:
            guard let host, host != "*", !isIPv6, !Self.isNumeric(host), unsafe if_nametoindex(host) == 0 else {
                return nil
            }
            return "\(description): \"\(host)\" is a name, and a program listens at an address of its machine; name an "
                + "address, such as 127.0.0.1 or [::1], a network interface, or * for all."
        case .ipc: return nil
        case .inproc:
            return "\(description): inproc reaches only this process; expected tcp://ADDRESS:PORT or ipc://PATH."
        }
    }

    /// What lies at the path where the socket would be made; `nil` when the path is free.
    ///
    /// The socket library removes whatever lies there: a user's file, or another program's socket. Only a socket at
    /// which nobody listens may be removed.
    public var bindingObstacle: String? {
        guard let path = socketPath else { return nil }
        var status = stat()
        if unsafe lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else {
                return "\(path) is there already and is no socket. Choose another path, or remove it"
            }
            return Self.connects(to: path) == 0 ? "another program listens there. End it, or choose another path" : nil
        }
        guard errno == ENOENT else { return "\(path): \(Self.words(errno))" }
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard unsafe stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            return "there is no directory \(directory). Make it, or choose another path"
        }
        guard unsafe access(directory, W_OK | X_OK) == 0 else {
            return "this user may make nothing in \(directory). Choose another path"
        }
        return nil
    }

    /// Why the socket library could not listen, and what helps.
    public func bindingFailure(_ error: ZeroMQError) -> String {
        guard case .callFailed(_, let errorNumber) = error else { return error.description }
        switch errorNumber {
        case EADDRINUSE:
            return "another program listens there. End it, or choose another port; port 0 lets the system choose"
        case EACCES where transport == .tcp, EPERM where transport == .tcp:
            return "ports below 1024 need a right that this user does not have (CAP_NET_BIND_SERVICE). Choose one from "
                + "1024 on, or give that right"
        case EADDRNOTAVAIL, ENODEV:
            return "this machine has no such address. \"ip address\" shows those that it has"
        case EAFNOSUPPORT: return "this kind of address is switched off on this machine. Name one of another kind"
        case EMFILE: return "this process has too many files open. Raise the limit (ulimit -n, LimitNOFILE)"
        default: return Self.words(errorNumber)
        }
    }

    // MARK: - The system's view

    /// The path of a socket in the file system; `nil` for other transports, and when the socket library chooses the
    /// path.
    var socketPath: String? {
        let path = String(description.dropFirst("ipc://".count))
        return transport == .ipc && path != "*" && !path.hasPrefix("@") ? path : nil
    }

    static func words(_ errorNumber: Int32) -> String { unsafe String(cString: strerror(errorNumber)) }

    /// Whether a host is an address, including abbreviated ones such as 127.1.
    static func isNumeric(_ host: String) -> Bool {
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_NUMERICHOST
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return false }
        unsafe freeaddrinfo(list)
        return true
    }

    /// Tries to connect to a socket of the file system.
    ///
    /// - Returns: 0, or the error's number.
    static func connects(to path: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8.prefix(107)) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 ? 0 : errno
    }
}
