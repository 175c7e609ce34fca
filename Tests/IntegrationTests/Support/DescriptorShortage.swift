import Foundation
import TestSupport
import Testing

/// Takes the descriptors from a running process: its limit of open files becomes what it has open.
enum DescriptorShortage {
    private static let program = "/usr/bin/prlimit"

    static let reason: Comment = "needs prlimit (util-linux)"

    static var isPossible: Bool { FileManager.default.isExecutableFile(atPath: program) }

    /// Sets the limit to the lowest free number, so that the process can open nothing more.
    ///
    /// - Throws: ``WaitError`` when the limit cannot be set, or what Foundation throws.
    static func begin(in process: RunningProgram) async throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.number)/fd")
        let open = Set(names.compactMap { Int($0) })
        let free = try #require((0...).first { !open.contains($0) })
        try await set("\(free):", of: process)
    }

    /// Gives the process descriptors again.
    ///
    /// - Throws: as ``begin(in:)``.
    static func end(in process: RunningProgram) async throws {
        try await set("1024:", of: process)
    }

    private static func set(_ limit: String, of process: RunningProgram) async throws {
        let directory = try TemporaryDirectory()
        let setter = try RunningProgram(
            program, ["--pid", "\(process.number)", "--nofile=\(limit)"], name: "prlimit", in: directory)
        guard try await setter.exitCode() == 0 else {
            throw WaitError(description: setter.logTail)
        }
    }
}
