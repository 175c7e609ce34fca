import Foundation
import TestSupport
import Testing

/// A small file system that only one program sees, as its state directory.
enum SmallDisk {
    static let reason: Comment = "needs root, and unshare (util-linux) that may mount a tmpfs"

    /// Whether such a file system can be made here.
    static let isPossible: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        let process = Process()
        let command = launcher(for: directory.path, mebibytes: 1) + ["/bin/true"]
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    /// What starts a program that finds an empty small disk at a path; it is gone with the program.
    static func launcher(for path: String, mebibytes: Int) -> [String] {
        let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=\(mebibytes)m tmpfs \"$0\" && exec \"$@\""
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, path]
    }

    /// Fills the disk that a program sees at a path, to the last byte.
    ///
    /// - Returns: What takes up the room; removing it makes room.
    /// - Throws: what Foundation throws when no file can be made.
    static func fill(_ path: String, of program: RunningProgram) throws -> URL {
        let ballast = URL(fileURLWithPath: "/proc/\(program.number)/root\(path)/ballast")
        try Data().write(to: ballast)
        let file = try FileHandle(forWritingTo: ballast)
        defer { try? file.close() }
        for size in [1 << 20, 1 << 12, 1] {
            while (try? file.write(contentsOf: Data(count: size))) != nil { continue }
        }
        return ballast
    }
}
