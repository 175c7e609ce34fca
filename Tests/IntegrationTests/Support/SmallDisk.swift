import Foundation
import TestSupport
import Testing

/// A small file system that only one program sees, at its state directory.
enum SmallDisk {
    static let reason: Comment = "needs root, and unshare (util-linux) that may mount a tmpfs"

    /// Whether such a file system can be made on this machine.
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

    /// The command that starts a program with a small disk at a path; the disk disappears with the program.
    ///
    /// The disk is empty, or a `ballast` file fills part of it.
    static func launcher(for path: String, mebibytes: Int, ballast kibibytes: Int = 0) -> [String] {
        let fill = kibibytes == 0 ? "" : "head -c \(kibibytes)K /dev/zero > \"$0/ballast\" && "
        let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=\(mebibytes)m tmpfs \"$0\" && \(fill)exec \"$@\""
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, path]
    }

    /// The command that starts a program with an empty read-only disk at a path.
    static func readOnlyLauncher(for path: String) -> [String] {
        let script = "mkdir -p \"$0\" && mount -t tmpfs tmpfs \"$0\" && mount -o remount,ro \"$0\" && exec \"$@\""
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, path]
    }

    /// The command that starts a program with a disk at a path that has no byte left.
    static func fullLauncher(for path: String) -> [String] {
        let script =
            "mkdir -p \"$0\" && mount -t tmpfs -o size=1m tmpfs \"$0\" && "
            + "{ cat /dev/zero > \"$0/ballast\" 2>/dev/null; exec \"$@\"; }"
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, path]
    }

    /// The file that fills a disk that a program sees at a path; its removal makes room.
    static func ballast(_ path: String, of program: RunningProgram) -> URL {
        URL(fileURLWithPath: "/proc/\(program.number)/root\(path)/ballast")
    }

    /// Fills the disk that a program sees at a path to the last byte.
    ///
    /// - Returns: The file that fills the disk. Its removal makes room.
    /// - Throws: what Foundation throws when the file cannot be made.
    static func fill(_ path: String, of program: RunningProgram) throws -> URL {
        let ballast = ballast(path, of: program)
        try Data().write(to: ballast)
        let file = try FileHandle(forWritingTo: ballast)
        defer { try? file.close() }
        for size in [1 << 20, 1 << 12, 1] {
            while (try? file.write(contentsOf: Data(count: size))) != nil { continue }
        }
        return ballast
    }
}
