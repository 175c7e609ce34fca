import Foundation
import TestSupport

/// A process that a test started, with its output in files; it is killed with the last reference.
final class RunningProgram {
    private let process = Process()
    private let input = Pipe()
    private let outputPath: String
    private let errorPath: String
    /// The name of its files.
    let name: String
    /// The command line, for messages.
    let description: String

    /// Starts a program; its standard input stays open while this process and this object live.
    ///
    /// - Parameters:
    ///   - path: The executable.
    ///   - arguments: Its arguments.
    ///   - name: The name of the output files.
    ///   - directory: The directory of these files, which is also the program's working directory.
    ///   - environment: Variables that are added to this process's own.
    /// - Throws: what Foundation throws when the program cannot be started.
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
        // The variables of the person who runs the tests must not lead to another coordinator.
        var variables = ProcessInfo.processInfo.environment.filter { name, _ in
            !name.hasPrefix("KFACD_") && name != "CREDENTIALS_DIRECTORY"
        }
        variables["OPENBLAS_NUM_THREADS"] = "1"
        // Coordinators that run at the same time cannot all use the default port.
        variables["KFACD_HTTP"] = "off"
        // Rates that are measured here are not for the person's own predictions.
        variables["XDG_CACHE_HOME"] = NSTemporaryDirectory() + "kfacd-tests-cache"
        process.environment = variables.merging(environment) { $1 }
        process.standardInput = input
        let files = try [outputPath, errorPath].map { try FileHandle(forWritingTo: URL(fileURLWithPath: $0)) }
        (process.standardOutput, process.standardError) = (files[0], files[1])
        // The program has its own descriptors. Ours would stay open with a `Process`, which may outlive this object.
        // With some 1360 open descriptors Foundation cannot start a process: it reads beyond the end of their list.
        defer { for file in files { try? file.close() } }
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? input.fileHandleForWriting.close()
    }

    var isRunning: Bool { process.isRunning }

    /// The process identifier.
    var number: pid_t { process.processIdentifier }

    /// The text on standard output so far.
    var output: String { Self.text(outputPath) }

    /// The text on standard error so far; for a daemon it is the log.
    var errors: String { Self.text(errorPath) }

    /// The end of the log, for the message of a failed test.
    var logTail: String {
        "\(description)\n\(isRunning ? "is running" : "has ended")\n\(output.suffix(1000))\n\(errors.suffix(6000))"
    }

    /// Sends a signal to this process only.
    func send(_ signal: Int32) {
        if process.isRunning { kill(process.processIdentifier, signal) }
    }

    /// Stops the process, and waits until it stands still.
    ///
    /// Sending the signal takes a moment, but a thread in a kernel call stops only after the call.
    ///
    /// - Throws: ``WaitError`` when the process still runs.
    func stop() async throws {
        send(SIGSTOP)
        try await eventually("the standstill of \(name)", finding: logTail) {
            !self.isRunning || self.standsStill
        }
    }

    /// Lets a stopped process continue.
    func resume() { send(SIGCONT) }

    /// Whether none of the process's threads runs, by field 3 of their `/proc/<number>/stat`.
    ///
    /// Field 2, the command, may hold spaces and ends with a parenthesis.
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
    /// - Returns: The exit code, or 128 plus the number of the signal that ended the process.
    /// - Throws: ``WaitError`` when the process still runs afterwards.
    func exitCode() async throws -> Int32 {
        try await eventually("the end of \(name)", finding: logTail) { !self.process.isRunning }
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}
