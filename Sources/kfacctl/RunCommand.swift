import ArgumentParser
import Console
import ControlGroups
import FileAccess
import Foundation
import Identifiers
import JobPlan
import Publication
import SystemPackage
import Telemetry
import WireProtocol

/// `kfacctl run`: starts a coordinator and workers on this machine, runs one job, and ends them.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a job on this machine: starts a coordinator and workers over loopback.")

    @Argument(help: "The job file.")
    var job: String

    @Option(help: "The output directory, in place of the job file's own.")
    var output: String?

    @Option(help: "How many workers; together they use all cores.")
    var workers: Int?

    @Option(help: "Memory of each worker, in MiB; by default an equal share of four fifths of what is available.")
    var memory: UInt64?

    @Option(
        help: """
            Directory for the coordinator's state and the workers' blobs while the job runs. (default: TMPDIR, else \
            /var/tmp)
            """)
    var stateDirectory: String?

    @Option(help: "Seconds that the job may wait for room on a full disk, without progress, before it is given up.")
    var patience = 600

    @Option(help: "What the daemons log: debug, info, notice, warning or error.")
    var logLevel = "warning"

    @Flag(help: "Replace the files of an earlier job in the output directory.")
    var overwrite = false

    @Flag(name: .shortAndLong, help: "Print no progress and no tables.")
    var quiet = false

    func validate() throws {
        if let workers, !(1...1024).contains(workers) { throw ValidationError("--workers must lie in 1...1024.") }
        if let memory, !(1...1 << 32).contains(memory) {
            throw ValidationError("--memory must lie in 1...4294967296.")
        }
        guard (1...31_536_000).contains(patience) else {
            throw ValidationError("--patience must lie in 1...31536000, a year.")
        }
        guard LogThreshold.levelNames.contains(logLevel) else {
            throw ValidationError("--log-level must be one of \(LogThreshold.levelNames.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        try await run(try Submission(file: job, overwrites: overwrite, output: output))
    }

    /// Runs a job under this command's options, and prints what it found.
    func run(_ submission: Submission) async throws {
        let report = try await perform(submission)
        guard !quiet else { return }
        if let tables = ReportTables(directory: report.output) { Terminal.print(tables.text) }
        Terminal.print("outputs: \(report.output)")
    }

    /// Runs a job to its success; shows progress only.
    func perform(_ submission: Submission) async throws -> JobReport {
        let outcome = "interrupted; the job was cancelled and its files removed."
        let report = try await Interruption.watched(outcome: outcome) {
            let settings = try settings()
            let job = try await JobCheck.preview(
                submission, workerMemories: [settings.memoryMiB << 20], within: RequestPatience().admission)
            let predicted = quiet ? nil : await JobPrediction.secondsIfCheap(of: job, lanes: settings.allLanes)
            let (cluster, client) = try await start(settings)
            // The daemons can die before the coordinator says what it has made there.
            let output = OutputDirectory(
                path: job.output, job: JobCheck.firstJob.rawValue,
                owner: ClaimOwner(coordinator: cluster.coordinatorName, stateDirectory: ""), overwrites: false,
                roots: .unlimited)
            var hasSucceeded = false
            // Runs last, when no process is left that could write there or resume the job. A job that has succeeded
            // leaves nothing, and another run may have staged files there since.
            defer { if !hasSucceeded { output.removeRemains(hasSucceeded: false) } }
            defer { cluster.stop() }
            let report = try await follow(submission, client, cluster, predictedSeconds: predicted)
            hasSucceeded = report.state == .succeeded
            await client.close()
            return report
        }
        try report.requireSuccess()
        return report
    }

    /// Submits the job and follows it to its end, or to that of the daemons.
    ///
    /// The coordinator admits the job while the workers start. It gives out units as they join.
    private func follow(
        _ submission: Submission, _ client: CoordinatorClient, _ cluster: LocalCluster, predictedSeconds: Double?
    ) async throws -> JobReport {
        do {
            return try await cluster.whileRunning {
                let (id, _) = try await client.submit(submission, patience: .seconds(patience))
                return try await ProgressDisplay(
                    client: client, isQuiet: quiet, patience: .seconds(patience), predictedSeconds: predictedSeconds
                ).follow(id)
            }
        } catch {
            // The daemons will end now, and the staged files are removed with the job. A task of its own, because this
            // one may be cancelled.
            if cluster.hasCoordinator { await Task { try? await client.cancel(JobCheck.firstJob) }.value }
            throw error
        }
    }

    /// Checks that the limits of this process suffice for its daemons, which inherit them.
    ///
    /// - Throws: ``CommandFailure`` about the first limit that is too small.
    private static func requireLimits(workers: Int, lanes: Int) throws {
        var needs = ProcessNeeds.daemon(lanes: lanes)
        needs.childThreads = ProcessNeeds.daemonThreads + workers * (lanes + ProcessNeeds.daemonThreads)
        if let problem = needs.problem() { throw CommandFailure(.failed, problem) }
    }

    /// Shares this machine among the daemons.
    private func settings() throws -> LocalCluster.Settings {
        let capacity = MachineCapacity.current()
        let share = MachineShare(workers: workers, processors: capacity.processors)
        let workerCount = share.workers
        try Self.requireLimits(workers: workerCount, lanes: share.lanesOfWorker)
        return LocalCluster.Settings(
            workerCount: workerCount, lanes: share.lanesOfWorker,
            memoryMiB: memory ?? max(1, capacity.memoryBytes(eachOf: workerCount) >> 20),
            place: .forRun(named: stateDirectory), logLevel: logLevel)
    }

    /// Starts the daemons; if anything stops this before the coordinator answers, they end, and their state is removed.
    private func start(_ settings: LocalCluster.Settings) async throws -> (LocalCluster, CoordinatorClient) {
        let workerCount = settings.workerCount
        let cluster = try await LocalCluster.start(settings)
        do {
            try Task.checkCancellation()
            let client = try await CoordinatorClient(endpoint: cluster.endpoint, keys: nil, patience: RequestPatience())
            if !quiet {
                Terminal.note("coordinator at \(cluster.endpoint), \(workerCount) worker\(workerCount == 1 ? "" : "s")")
            }
            return (cluster, client)
        } catch {
            cluster.stop()
            throw error
        }
    }
}

extension TemporaryPlace {
    /// The place of the daemons' files, which nobody needs afterwards.
    static func forRun(named path: String?) -> TemporaryPlace {
        TemporaryPlace(named: path, option: "--state-directory", usual: "/var/tmp")
    }
}
