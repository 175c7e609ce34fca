internal import Glibc

/// Why no message can be sent to the service manager.
public enum SystemdError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `NOTIFY_SOCKET` is neither an absolute path nor an abstract name, or is too long for a socket.
    case malformedAddress(String)
    /// A call to the kernel failed.
    case callFailed(call: String, address: String, errorNumber: Int32)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .malformedAddress(let address):
            "NOTIFY_SOCKET is \"\(address)\"; expected an absolute path or \"@\" and a name, of at most "
                + "\(NotifySocket.addressBytesMax) bytes. It is set by the service manager: unset it to run without one."
        case .callFailed(let call, let address, let errorNumber):
            "the service manager at \(address) was not told: \(call) failed: \(Self.words(errorNumber))."
        }
    }

    private static func words(_ errorNumber: Int32) -> String { unsafe String(cString: strerror(errorNumber)) }
}
