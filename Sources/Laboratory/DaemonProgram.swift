import FileAccess
import Foundation
import Synchronization
public import SystemPackage

/// `kfacctl`; it starts a coordinator and workers on this machine for one job, and ends them.
public struct DaemonProgram: Equatable, Sendable {
    /// The program.
    public let path: FilePath
    /// The time that the program has to end its daemons when it is asked to end; then it is killed.
    var patience: Duration = .seconds(30)

    /// Finds the program: at the given path, else beside the running program, else on PATH.
    ///
    /// - Parameter path: The given path, or nil.
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

    /// Runs a job to its end: writes its file and waits for the outputs in its directory.
    ///
    /// A cancelled task ends the program. The program then ends its daemons and removes unfinished files.
    ///
    /// - Parameters:
    ///   - job: The job. Outputs of an earlier job in its directory are replaced.
    ///   - workerCount: The workers; they share the machine's cores.
    /// - Throws: ``LaboratoryError/programFailed(program:code:output:)`` with the end of the program's output,
    ///   ``LaboratoryError/programMissing(program:problem:)`` when it cannot be started,
    ///   ``LaboratoryError/safetensors(_:)`` when the job file cannot be written, or ``LaboratoryError/interrupted``.
    ///   The directory then holds no outputs of this job.
    public func run(_ job: CurvatureJob, workerCount: Int = 2) async throws(LaboratoryError) {
        do {
            try Directories.create(job.directory)
        } catch {
            throw .usage("\(job.directory) cannot be made: \(error) Give another directory.")
        }
        try reading { () throws(FileError) in try WholeFile.write(Array(job.text.utf8), to: job.jobFile) }
        try await run(
            ["run", job.jobFile.string, "--workers", "\(workerCount)", "--overwrite", "--quiet"],
            log: FilePath("\(job.jobFile).log"))
    }

    /// Runs the program; its output goes to a file that is removed at the end.
    ///
    /// The output is a file and not a pipe: nobody has to read it meanwhile, and daemons that outlive the program
    /// cannot delay this one.
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
            let text = String(decoding: Self.end(of: log), as: UTF8.self)
            throw .programFailed(
                program: path.string, code: code, output: text.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    /// The bytes of output in an error; the last ones say why the program failed.
    private static let outputLimit = 16 << 10

    private static func end(of log: FilePath) -> Data {
        guard let file = FileHandle(forReadingAtPath: log.string) else { return Data() }
        defer { try? file.close() }
        guard let byteCount = try? file.seekToEnd() else { return Data() }
        try? file.seek(toOffset: byteCount - min(byteCount, UInt64(outputLimit)))
        return (try? file.read(upToCount: outputLimit)) ?? Data()
    }
}

/// A program that runs once; it can be asked to end before or after its start.
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
        // The program runs in a process group of its own, where reading a terminal would stop it.
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
    }

    /// Runs the program.
    ///
    /// - Returns: Its exit code, 128 plus the signal's number as in shells, or the reason why it did not run.
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

    /// Asks the program to end, and kills it when it does not; before the start, forbids the start.
    func end() {
        let isRunning = state.withLock { state in
            defer { state = .ended }
            return state == .running && process.isRunning
        }
        guard isRunning else { return }
        process.terminate()
        // A thread of its own, because the tasks may be what hangs.
        Thread.detachNewThread { [self] in
            let deadline = ContinuousClock.now + patience
            while process.isRunning, ContinuousClock.now < deadline { usleep(10_000) }
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
    }
}
