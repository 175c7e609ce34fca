import Foundation
import TestSupport

/// A process that a test started, with what it writes in files; killed when the last reference goes away.
final class RunningProgram {
    private let process = Process()
    private let input = Pipe()
    private let outputPath: String
    private let errorPath: String
    /// What names its files.
    let name: String
    /// The command line, for messages.
    let description: String

    /// Starts a program, whose standard input stays open as long as this process and this object live.
    ///
    /// - Parameters:
    ///   - path: The executable.
    ///   - arguments: Its arguments.
    ///   - name: Names the files that take its output.
    ///   - directory: Where those files are written; also the program's working directory.
    ///   - environment: Added to this process's own.
    /// - Throws: what Foundation throws when it cannot be started.
    init(
        _ path: String, _ arguments: [String], name: String, in directory: TemporaryDirectory,
        environment: [String: String] = [:]
    ) throws {
        self.name = name
        outputPath = directory.appending("\(name).stdout")
        errorPath = directory.appending("\(name).stderr")
        description = ([path] + arguments).joined(separator: " ")
        for file in [outputPath, errorPath] { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        // What stands in the environment of whoever runs the tests must not reach another coordinator.
        var variables = ProcessInfo.processInfo.environment.filter { name, _ in
            !name.hasPrefix("KFACD_") && name != "CREDENTIALS_DIRECTORY"
        }
        variables["OPENBLAS_NUM_THREADS"] = "1"
        // Coordinators that run beside each other cannot all have the default port.
        variables["KFACD_HTTP"] = "off"
        process.environment = variables.merging(environment) { $1 }
        process.standardInput = input
        let files = try [outputPath, errorPath].map { try FileHandle(forWritingTo: URL(fileURLWithPath: $0)) }
        (process.standardOutput, process.standardError) = (files[0], files[1])
        // The program has its own; ours would stay open with a `Process`, which may outlive this object, and with some
        // 1360 open descriptors Foundation starts no process any more: it reads beyond the end of their list.
        defer { for file in files { try? file.close() } }
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? input.fileHandleForWriting.close()
    }

    var isRunning: Bool { process.isRunning }

    /// The process's number.
    var number: pid_t { process.processIdentifier }

    /// What it wrote to standard output so far.
    var output: String { Self.text(outputPath) }

    /// What it wrote to standard error so far: the log, for a daemon.
    var errors: String { Self.text(errorPath) }

    /// The end of the log, for the message of a failed test.
    var logTail: String {
        "\(description)\n\(isRunning ? "is running" : "has ended")\n\(output.suffix(1000))\n\(errors.suffix(6000))"
    }

    /// Sends a signal to this process and no other.
    func send(_ signal: Int32) {
        if process.isRunning { kill(process.processIdentifier, signal) }
    }

    /// Stops the process where it is, and waits until it stands still: a signal is sent in a moment, but a thread that
    /// the kernel is busy for goes on until that is done.
    ///
    /// - Throws: ``WaitError`` when it goes on all the same.
    func stop() async throws {
        send(SIGSTOP)
        try await eventually("the standstill of \(description)", within: .seconds(20)) {
            !self.isRunning || self.standsStill
        }
    }

    /// Lets a stopped process go on.
    func resume() { send(SIGCONT) }

    /// Whether none of the process's threads runs, by field 3 of their `/proc/<number>/stat`; the one before it, the
    /// command, may hold blanks and ends with a bracket.
    private var standsStill: Bool {
        let threads = "/proc/\(number)/task"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: threads)) ?? []
        return names.allSatisfy { name in
            // A thread that has ended meanwhile does not run.
            guard let data = FileManager.default.contents(atPath: "\(threads)/\(name)/stat") else { return true }
            let fields = String(decoding: data, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            return fields.first.map { ["T", "Z", "X"].contains(String($0)) } ?? true
        }
    }

    /// Waits for the end of the process.
    ///
    /// - Returns: The exit code, or 128 and the number of the signal that ended it.
    /// - Throws: ``WaitError`` when it still runs afterwards.
    func exitCode(within limit: Duration) async throws -> Int32 {
        try await eventually("the end of \(description)", within: limit) { !self.process.isRunning }
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}
