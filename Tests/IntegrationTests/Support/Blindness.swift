import Foundation
import Testing

/// Runs a program as a user who may read nothing that root keeps for itself.
enum Blindness {
    static let launcher = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    static let reason: Comment = "needs root, setpriv, and programs that every user may execute"

    /// Whether another user can be taken on here and can execute the daemon.
    static let isPossible: Bool = {
        guard geteuid() == 0, FileManager.default.isExecutableFile(atPath: launcher[0]) else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: launcher[0])
        process.arguments = Array(launcher.dropFirst()) + [Programs.daemon, "--version"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}
