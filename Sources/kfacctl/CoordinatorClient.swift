import ArgumentParser
import Console
import FileAccess
import Foundation
import Identifiers
import JobPlan
import Messaging
import SystemPackage
import WireProtocol
import ZeroMQ

/// The coordinator's endpoint, and how long the client waits for it.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "Where the coordinator listens (KFACD_COORDINATOR).")
    var coordinator = ProcessInfo.processInfo.environment["KFACD_COORDINATOR"] ?? "tcp://127.0.0.1:7733"

    @Option(help: ArgumentHelp(RequestPatience.help))
    var timeout: UInt32?

    @OptionGroup(title: "Keys") var keys: ClientKeyOptions

    /// Connects, runs a body, and closes.
    func withClient<Result>(_ body: (CoordinatorClient) async throws -> Result) async throws -> Result {
        try await CoordinatorClient.connected(
            to: coordinator, keys: keys, patience: RequestPatience(seconds: timeout), body)
    }
}

extension CoordinatorClient {
    /// Connects, runs a body, and closes.
    static func connected<Result>(
        to endpoint: String, keys: ClientKeyOptions?, patience: RequestPatience,
        _ body: (CoordinatorClient) async throws -> Result
    ) async throws -> Result {
        let client = try await CoordinatorClient(endpoint: endpoint, keys: keys, patience: patience)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// How results are printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// How long a client waits for answers; no request waits longer.
struct RequestPatience {
    static let help = """
        Seconds to wait for an answer; by default 10, 60 for a chunk of a push, and 600 for rows and the check of a job.
        """

    /// The wait for an answer that needs no files.
    let word: Duration
    /// The wait for the answer to a chunk, which is written to the coordinator's disk before.
    let push: Duration
    /// The wait for the answer to rows, which workers take between their products.
    let rows: Duration
    /// The wait for the check of a job, which reads headers and sometimes a whole base.
    let admission: Duration

    /// Sets the user's limit for every answer.
    init(seconds: UInt32? = nil) {
        word = .seconds(Int64(seconds ?? 10))
        push = .seconds(Int64(seconds ?? 60))
        rows = .seconds(Int64(seconds ?? 600))
        admission = .seconds(Int64(seconds ?? 600))
    }
}

/// A connection to a coordinator that throws a command's errors.
struct CoordinatorClient: Sendable {
    private let connection: ClientConnection
    private let patience: RequestPatience

    init(endpoint: String, keys: ClientKeyOptions?, patience: RequestPatience) async throws {
        let address: Endpoint
        do {
            address = try Endpoint(endpoint)
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
        if let problem = address.connectingProblem { throw CommandFailure(.badInput, problem) }
        let keys = try keys?.keys(for: address)
        if let cause = await address.unreachability(within: patience.word) {
            throw CommandFailure(
                .unreachable,
                "\(address): \(cause). Check the address, and that \"kfacd coordinator\" runs there.")
        }
        let context = try Context()
        do {
            connection = try await ClientConnection.connect(to: address, keys: keys, context: context)
        } catch {
            throw CommandFailure(error)
        }
        self.patience = patience
    }

    func close() async {
        await connection.close()
    }

    /// Sends a request; a failure reply becomes the command's failure.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - watch: Is told what the coordinator says of a job that it checks.
    /// - Returns: The reply, and the bytes that belong to it.
    /// - Throws: ``CommandFailure``.
    func ask(
        _ request: ClientRequest, _ watch: AcceptanceWatch? = nil
    ) async throws -> (reply: ClientReply, payload: Frame?) {
        let answer: (reply: ClientReply, payload: Frame?)
        do throws(MessagingError) {
            switch request {
            case .submit, .plan: answer = try await askForAdmission(request, watch)
            default: answer = try await connection.ask(request, timeout: patience.word)
            }
        } catch {
            throw CommandFailure(error)
        }
        switch answer.reply {
        case .failure(let failure): throw CommandFailure(failure)
        case .cut(.outputs, let further):
            throw CommandFailure(
                .failed,
                "the job has \(further) files more than one answer holds. Copy its output directory instead.")
        case .cut(let list, let further):
            Terminal.note("and \(further) more, which one answer does not hold")
            return (list, answer.payload)
        default: return answer
        }
    }

    /// Sends a request whose answer may take long; an unreachable coordinator is reported sooner.
    private func askForAdmission(
        _ request: ClientRequest, _ watch: AcceptanceWatch?
    ) async throws(MessagingError) -> (reply: ClientReply, payload: Frame?) {
        let start = ContinuousClock.now
        _ = try await connection.ask(.workers, timeout: patience.word)
        do {
            let left = patience.admission - (ContinuousClock.now - start)
            return try await connection.ask(request, timeout: max(left, .zero)) {
                watch?.note($0)
                AdmissionNews.show($0, since: start)
            }
        } catch .unreachable(let endpoint, _) {
            throw .admissionTooLong(endpoint: endpoint, waited: patience.admission)
        }
    }

    /// Pushes a file; a failure reply becomes the command's failure.
    ///
    /// - Returns: The bytes that were sent; 0 if the coordinator had the file already.
    /// - Throws: ``PushDelay`` when the push may succeed later; ``CommandFailure`` otherwise.
    func push(
        _ offer: PushOffer, read: @escaping @Sendable (UInt64, Int) throws -> Frame,
        onProgress: @escaping @Sendable (UInt64) -> Void
    ) async throws -> UInt64 {
        do {
            switch try await connection.push(offer, timeout: patience.push, read: read, onProgress: onProgress) {
            case .whole(let sentBytes): return sentBytes
            case .refused(let failure) where failure.kind == .busy:
                throw PushDelay(reason: failure.description, failure: CommandFailure(failure))
            case .refused(let failure): throw CommandFailure(failure)
            }
        } catch let error as MessagingError {
            let failure = CommandFailure(error)
            guard failure.code == .unreachable else { throw failure }
            // It was reached before. A coordinator that restarts keeps what has arrived.
            throw PushDelay(reason: "the coordinator does not answer", failure: failure)
        }
    }

    /// Sends the rows of one sequence; a failure reply becomes the command's failure.
    ///
    /// - Returns: The bytes that were sent; 0 if the coordinator had the sums already.
    /// - Throws: ``PushDelay`` when another attempt, with all rows, may succeed; ``CommandFailure`` otherwise.
    func sendRows(
        _ offer: PushOffer, rows: @escaping @Sendable () async throws -> RowBatch?, commit: [String: String],
        onProgress: @escaping @Sendable (UInt64) -> Void
    ) async throws -> UInt64 {
        do {
            let outcome = try await connection.sendRows(
                offer, timeout: patience.rows, rows: rows, commit: { commit }, onProgress: onProgress)
            switch outcome {
            case .whole(let sentBytes): return sentBytes
            case .refused(let failure) where failure.kind == .busy:
                throw PushDelay(reason: failure.description, failure: CommandFailure(failure))
            case .refused(let failure): throw CommandFailure(failure)
            case .interrupted(let reason):
                throw PushDelay(reason: reason, failure: CommandFailure(.unreachable, "\(reason)."))
            }
        } catch let error as MessagingError {
            throw CommandFailure(error)
        }
    }

    /// Submits a job and shows its notices.
    ///
    /// - Parameters:
    ///   - submission: The job.
    ///   - patience: How long the checked job may wait to be recorded while the coordinator's disk is full.
    /// - Returns: The job's name, and whether the same job runs already.
    /// - Throws: ``CommandFailure``, also when it waits for too long.
    func submit(
        _ submission: Submission, patience: Duration
    ) async throws -> (job: JobID, isRunningAlready: Bool) {
        let watch = AcceptanceWatch(patience: patience)
        let answer = try await withThrowingTaskGroup(of: ClientReply?.self) { group in
            group.addTask { try await ask(.submit(submission), watch).reply }
            group.addTask { try await watch.waitForFailure() }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard case .accepted(let job, let isRunning, let notices) = answer else {
            throw CommandFailure(.failed, "the coordinator did not answer a submission with a job")
        }
        Terminal.note(notices)
        return (job, isRunning)
    }

    /// A job's progress.
    func status(_ job: JobID) async throws -> JobReport {
        guard case .jobs(let jobs) = try await ask(.status(job)).reply, let report = jobs.first else {
            throw CommandFailure(.failed, "the coordinator did not answer a request for \(job) with its status")
        }
        return report
    }

    /// Cancels a job and waits for its end, for a bounded time.
    ///
    /// A coordinator that cannot record the end on a full disk would not reach it. A job that did not end leaves its
    /// claim on the output, so a busy machine has some time.
    func cancel(_ job: JobID) async throws {
        _ = try await ask(.cancel(job))
        let deadline = ContinuousClock.now + .seconds(10)
        while try await status(job).state.isUnderWay, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The log lines about a job after a line, and whether no more follow.
    func log(_ job: JobID, after number: UInt64) async throws -> (lines: [JobLogLine], isComplete: Bool) {
        guard case .log(let lines, let isComplete) = try await ask(.log(job, after: number)).reply else {
            throw CommandFailure(
                .failed, "the coordinator did not answer a request for the log of \(job) with log lines")
        }
        return (lines, isComplete)
    }

    /// The workers.
    func workers() async throws -> [WorkerReport] {
        guard case .workers(let workers) = try await ask(.workers).reply else { return [] }
        return workers
    }
}

extension Terminal {
    /// Shows a job's notices, one on each line, on standard error.
    static func note(_ notices: [JobNotice]) {
        for notice in notices { note("note: \(notice)") }
    }
}

extension Submission {
    /// The most bytes of a job file; the coordinator has the same limit.
    private static let specBytesMax = 256 << 10

    /// Reads a job file.
    init(file: String, overwrites: Bool, output: String? = nil) throws {
        let path = try absolutePath(file)
        let output = try output.map(absolutePath)
        try Self.requireFile(file, at: path)
        do throws(TextFileError) {
            self.init(
                specText: try TextFile.read(FilePath(path), limit: Self.specBytesMax), specPath: path,
                overwrites: overwrites, output: output)
        } catch .unreadable(_, .noSuchFileOrDirectory) {
            throw CommandFailure(
                .badInput,
                "\(file): there is no such job file. Check the path."
                    + (file.contains("\u{FFFD}") ? " Bytes of it that are not UTF-8 show as \u{FFFD}." : ""))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }

    /// Refuses a file that has no directory, because the job's paths start at its directory.
    private static func requireFile(_ file: String, at path: String) throws {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        guard let type = try? FileManager.default.attributesOfItem(atPath: resolved)[.type] as? FileAttributeType,
            type != .typeRegular
        else {
            guard resolved.hasPrefix("/proc/") || file == "-" else { return }
            throw CommandFailure(.badInput, pipeProblem(file))
        }
        throw CommandFailure(
            .badInput,
            type == .typeDirectory
                ? "\(file): is a directory; expected a job file. Name the file in it." : pipeProblem(file))
    }

    private static func pipeProblem(_ file: String) -> String {
        "\(file): is a pipe or a device; expected a file, since the paths in a job start at its directory. Write the job "
            + "to a file first."
    }
}

/// Makes a user's path absolute and into a text, as the daemons need it.
private func absolutePath(_ text: String) throws -> String {
    let path: FilePath
    do {
        path = try WorkingDirectory.absolute(FilePath(text))
    } catch {
        throw CommandFailure(.badInput, "\(text): \(error)")
    }
    guard path.isText else {
        throw CommandFailure(
            .badInput,
            "\(path): a name in it is not UTF-8 text (its other bytes show as \u{FFFD}), and files of jobs are named in "
                + "UTF-8. Rename the directory, or work in another one.")
    }
    return path.string
}
