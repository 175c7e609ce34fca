/// Why a server cannot start.
public enum MicroHTTPDError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The address is not numeric.
    case malformedAddress(host: String)
    /// A system call failed; `errorNumber` is its errno.
    case callFailed(call: String, errorNumber: Int32)
    /// The library did not start.
    case cannotStart

    /// The fault, and what helps where that is known.
    public var description: String {
        switch self {
        case .malformedAddress(let host): "\"\(host)\" is no numeric address of this machine"
        case .callFailed(let call, let errorNumber): "\(call) failed with errno \(errorNumber)"
        case .cannotStart:
            "libmicrohttpd cannot start: a limit of threads, open files or memory is reached"
        }
    }
}
