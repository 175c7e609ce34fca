import Glibc
public import SystemPackage

extension FileDescriptor {
    /// Makes a file's content and size durable, or a directory's names.
    ///
    /// No other function calls fsync.
    ///
    /// - Throws: The error of the system. The state of the file is then unknown. A second call does not help, because
    ///   the kernel reports a failure only once.
    public func synchronize() throws(Errno) {
        guard retryingInterrupts({ fsync(rawValue) }) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Makes the names in a directory durable.
    ///
    /// - Throws: The error of the system.
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

/// Repeats a system call while signals interrupt it.
public func retryingInterrupts<Value: FixedWidthInteger & SignedInteger>(_ call: () -> Value) -> Value {
    while true {
        let value = call()
        if value == -1, errno == EINTR { continue }
        return value
    }
}
