import Foundation
import Glibc

/// The namespace that a thread's sockets belong to.
enum NetworkNamespace {
    /// Moves the calling thread into a namespace; sockets that it has keep theirs.
    ///
    /// - Parameter path: The file that stands for the namespace.
    /// - Throws: ``WaitError`` when the kernel refuses.
    static func enter(_ path: String) throws {
        // Swift's Glibc does not offer setns(2).
        typealias SetNamespace = @convention(c) (Int32, Int32) -> Int32
        guard let symbol = dlsym(nil, "setns") else { throw WaitError(description: "the C library has no setns") }
        let setNamespace = unsafeBitCast(symbol, to: SetNamespace.self)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        guard descriptor >= 0, setNamespace(descriptor, 0) == 0 else {
            throw WaitError(description: "\(path) cannot be entered: \(String(cString: strerror(errno)))")
        }
    }
}
