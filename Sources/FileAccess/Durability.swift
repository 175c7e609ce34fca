import Glibc
public import SystemPackage

extension FileDescriptor {
    /// Makes content and size durable; of a directory, its names: the one place that calls fsync.
    ///
    /// - Throws: What the system reported. What is durable then is not known, and calling again does not tell: the
    ///   kernel forgets a failure that it has reported.
    public func synchronize() throws(Errno) {
        guard retryingInterrupts({ fsync(rawValue) }) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Makes the names in a directory durable.
    ///
    /// - Throws: What the system reported.
    public static func synchronize(directory: FilePath) throws(Errno) {
        do {
            let descriptor = try open(directory, .readOnly, options: [.closeOnExec, .directory])
            try descriptor.closeAfter { try descriptor.synchronize() }
        } catch {
            throw error as? Errno ?? .ioError
        }
    }
}

extension Errno {
    /// Whether the disk or the quota is full.
    public var isLackOfRoom: Bool { self == .noSpace || self == .diskQuotaExceeded }
}

/// Repeats a system call as long as a signal interrupts it.
public func retryingInterrupts<Value: FixedWidthInteger & SignedInteger>(_ call: () -> Value) -> Value {
    while true {
        let value = call()
        if value == -1, errno == EINTR { continue }
        return value
    }
}
