import FileAccess
import Foundation
import Safetensors
import Synchronization
public import SystemPackage

/// `kfacctl`, which starts a coordinator and workers on this machine for one job and ends them.
public struct DaemonProgram: Equatable, Sendable {
    /// The program.
    public let path: FilePath
    /// How long the program may take to end its daemons when it is asked to end; then it is killed.
    var patience: Duration = .seconds(30)

    /// Finds the program: where it was said to be, else beside the running program, else on PATH.
    ///
    /// - Parameter path: Where it was said to be, or nil.
    /// - Throws: ``LaboratoryError/programMissing(program:problem:)``.
    public init(at path: FilePath? = nil) throws(LaboratoryError) {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        let search = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories = [own] + search.split(separator: ":").map(String.init)
        let candidates = path.map { [$0] } ?? directories.map { FilePath($0).appending("kfacctl") }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.string) }) else {
            if let path { throw .programMissing(program: path.string, problem: "there is no such program") }
            throw .programMissing(
                program: "kfacctl",
                problem: "it is neither beside this program (\(own)) nor on PATH. Give its place with --kfacctl")
        }
        self.path = found
    }

    /// Runs a job to its end: writes its file, computes, and leaves the outputs in its directory.
    ///
    /// A cancelled task ends the program, which ends its daemons and removes what they have begun.
    ///
    /// - Parameters:
    ///   - job: The job; outputs of an earlier one in its directory are replaced.
    ///   - workerCount: Workers, which share the machine's cores.
    /// - Throws: ``LaboratoryError/programFailed(program:code:output:)`` with the end of what the program said,
    ///   ``LaboratoryError/programMissing(program:problem:)`` when it cannot be started,
    ///   ``LaboratoryError/safetensors(_:)`` when the job file cannot be written, or ``LaboratoryError/interrupted``;
    ///   the directory then holds no outputs of this job.
    public func run(_ job: CurvatureJob, workerCount: Int = 2) async throws(LaboratoryError) {
        do {
            try Directories.create(job.directory)
        } catch {
            throw .usage("\(job.directory) cannot be made: \(error) Give another directory.")
        }
        try reading { () throws(SafetensorsError) in try WholeFile.write(Array(job.text.utf8), to: job.jobFile) }
        try await run(
            ["run", job.jobFile.string, "--workers", "\(workerCount)", "--overwrite", "--quiet"],
            log: FilePath("\(job.jobFile).log"))
    }

    /// Runs the program, its output in a file that is removed at the end.
    ///
    /// A file and not a pipe: nobody has to read it while the program runs, and daemons that outlived the program
    /// could not keep this one waiting for its end.
    func run(_ arguments: [String], log: FilePath) async throws(LaboratoryError) {
        let files = FileManager.default
        guard files.createFile(atPath: log.string, contents: nil), let output = FileHandle(forWritingAtPath: log.string)
        else { throw .programMissing(program: path.string, problem: "\(log) cannot be written") }
        defer { try? files.removeItem(atPath: log.string) }
        let child = ChildProcess(path, arguments, output: output, patience: patience)
        let result = await withTaskCancellationHandler {
            await child.run()
        } onCancel: {
            child.end()
        }
        let code = try result.get()
        guard !Task.isCancelled else { throw .interrupted }
        guard code == 0 else {
            let bytes = files.contents(atPath: log.string) ?? Data()
            let text = String(decoding: bytes.suffix(Self.outputLimit), as: UTF8.self)
            throw .programFailed(
                program: path.string, code: code, output: text.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    /// Bytes of output in an error; the last ones say why it failed.
    private static let outputLimit = 16 << 10
}

/// A program that runs once and can be asked to end, whether it has begun or not.
private final class ChildProcess: Sendable {
    private enum State { case waiting, running, ended }

    private let process = Process()
    private let name: String
    private let state = Mutex(State.waiting)

    private let patience: Duration

    init(_ path: FilePath, _ arguments: [String], output: FileHandle, patience: Duration) {
        name = path.string
        self.patience = patience
        process.executableURL = URL(fileURLWithPath: path.string)
        process.arguments = arguments
        // It runs in a group of its own, where reading a terminal would stop it.
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
    }

    /// Runs the program.
    ///
    /// - Returns: Its exit code, 128 and the signal's number as shells have it, or why it did not run.
    func run() async -> Result<Int32, LaboratoryError> {
        await withCheckedContinuation { continuation in
            process.terminationHandler = { process in
                let isSignal = process.terminationReason == .uncaughtSignal
                continuation.resume(returning: .success(process.terminationStatus + (isSignal ? 128 : 0)))
            }
            let failure: LaboratoryError? = state.withLock { state in
                guard state == .waiting else { return .interrupted }
                do { try process.run() } catch {
                    return .programMissing(program: name, problem: SystemWords.text(of: error))
                }
                state = .running
                return nil
            }
            if let failure { continuation.resume(returning: .failure(failure)) }
        }
    }

    /// Asks the program to end, and ends it when it does not; or forbids it to begin.
    func end() {
        let isRunning = state.withLock { state in
            defer { state = .ended }
            return state == .running && process.isRunning
        }
        guard isRunning else { return }
        process.terminate()
        // A thread of its own, since the tasks may be what waits.
        Thread.detachNewThread { [self] in
            let deadline = ContinuousClock.now + patience
            while process.isRunning, ContinuousClock.now < deadline { usleep(10_000) }
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
    }
}
