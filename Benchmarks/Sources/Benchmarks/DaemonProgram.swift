import Foundation

/// A running kfacd; it is stopped when it is dropped, and when the benchmarks are killed.
final class DaemonProgram {
    /// The program of util-linux by which a process ends with the one that started it.
    private static let companion = "/usr/bin/setpriv"

    private let process = Process()
    private let output = Pipe()
    var identifier: Int32 { process.processIdentifier }

    /// Starts a daemon.
    ///
    /// - Throws: An error of Foundation when the program cannot be started.
    init(_ binaries: String, _ arguments: [String]) throws {
        let command = ["\(binaries)/kfacd"] + arguments + ["--http", "off", "--log-level", "error"]
        let isCompanion = FileManager.default.isExecutableFile(atPath: Self.companion)
        process.executableURL = URL(fileURLWithPath: isCompanion ? Self.companion : command[0])
        process.arguments = isCompanion ? ["--pdeathsig", "TERM"] + command : Array(command.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(["OPENBLAS_NUM_THREADS": "1"]) { $1 }
        process.standardOutput = output
        try process.run()
    }

    deinit { stop() }

    /// Starts a coordinator, and waits until it listens.
    ///
    /// - Returns: The coordinator and its endpoint.
    /// - Throws: ``MeasurementFailure`` when it does not listen.
    static func coordinator(_ binaries: String, state: String) throws -> (DaemonProgram, endpoint: String) {
        let daemon = try DaemonProgram(
            binaries, ["coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory", state])
        let line = String(decoding: daemon.output.fileHandleForReading.availableData, as: UTF8.self)
        guard line.hasPrefix("ready ") else { throw MeasurementFailure(reason: "the coordinator says \"\(line)\"") }
        return (daemon, String(line.dropFirst("ready ".count).prefix { $0 != "\n" }))
    }

    /// Starts a worker with one lane.
    ///
    /// - Throws: An error of Foundation when the program cannot be started.
    static func worker(_ number: Int, _ binaries: String, at endpoint: String, state: String) throws -> DaemonProgram {
        try DaemonProgram(
            binaries,
            [
                "worker", "--coordinator", endpoint, "--name", "worker-\(number)", "--lanes", "1", "--memory", "512",
                "--cache-directory", "\(state)/worker-\(number)", "--drain-timeout", "1",
            ])
    }

    /// What the kernel says about it now.
    ///
    /// - Throws: ``MeasurementFailure`` when it has ended.
    func reading() throws -> ProcessReading {
        guard let reading = ProcessReading(of: identifier) else {
            throw MeasurementFailure(reason: "a daemon has ended")
        }
        return reading
    }

    /// Ends it without a word.
    func kill() {
        Foundation.kill(identifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Asks it to end, and waits for that.
    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }
}

/// A measurement could not be made.
struct MeasurementFailure: Error, CustomStringConvertible {
    let reason: String

    var description: String { reason }
}
