import ArgumentParser
import Console
import FileAccess
import Identifiers
import JobPlan
import SystemPackage
import WireProtocol

/// Where the interference of a job comes from, and how it is measured if it must be.
struct InterferenceReader {
    let options: MeasurementOptions

    /// Reads a report, or runs a job file for its report alone.
    ///
    /// - Throws: ``CommandFailure``.
    func read() async throws -> MeasuredInterference {
        switch try JobReference(options.job) {
        case .job(let job): try await read(job)
        case .report(let path): try Self.read(path)
        case .jobFile(let file): try await measure(file)
        }
    }

    private static func read(_ path: FilePath) throws -> MeasuredInterference {
        let bytes: [UInt8]
        do {
            bytes = try WholeFile.read(path, limit: ReportTables.byteCountMax)
        } catch {
            if case .callFailed(_, _, .noSuchFileOrDirectory) = error {
                throw CommandFailure(
                    .badInput,
                    "\(path): there is no such report; expected that of a finished job with \"report\" among its "
                        + "\"outputs\". Name the job file instead.")
            }
            throw CommandFailure(.badInput, error.description)
        }
        return try MeasuredInterference(parsing: bytes, of: path.string)
    }

    private func read(_ job: JobID) async throws -> MeasuredInterference {
        try await options.connection.withClient { client in
            guard case .outputs(let files) = try await client.ask(.outputs(job)).reply,
                let file = files.first(where: { $0.path == "report.json" })
            else {
                throw CommandFailure(
                    .badInput,
                    "\(job): the job wrote no report; expected \"report\" among its \"outputs\". Name the job file "
                        + "instead.")
            }
            guard file.byteCount <= UInt64(ReportTables.byteCountMax) else {
                throw CommandFailure(
                    .failed,
                    "\(job): the report has \(file.byteCount) bytes; expected at most \(ReportTables.byteCountMax).")
            }
            var bytes: [UInt8] = []
            try await FetchSource(job: job, client: client).read(file.path, byteCount: file.byteCount) { bytes += $0 }
            return try MeasuredInterference(parsing: bytes, of: "\(job)")
        }
    }

    // MARK: - A job file

    /// What is computed of a job: the report, without a merge and without the digests of all inputs.
    ///
    /// `groups` would be refused where no regularizer is written.
    private static let addition = "outputs: [report]\nkfac: {interference: true, input_digests: header, groups: null}\n"

    private func measure(_ file: String) async throws -> MeasuredInterference {
        var submission = try Submission(file: file, overwrites: false)
        let end = submission.specText.hasSuffix("\n") ? "" : "\n"
        try Self.requireTasks(submission)
        submission.specText += end + "---\n" + Self.addition
        let directory: OwnedDirectory
        do {
            directory = try OwnedDirectory(prefix: "kfacd-report-", in: .forRun(named: options.stateDirectory))
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        defer { directory.remove() }
        let output = directory.path.appending("out")
        submission.output = output.string
        _ = try await RunCommand.parse(["job"] + options.runArguments).perform(submission)
        let bytes = try WholeFile.read(output.appending("report.json"), limit: ReportTables.byteCountMax)
        return try MeasuredInterference(parsing: bytes, of: file)
    }

    /// Refuses a job whose interference cannot be measured, before anything is started.
    private static func requireTasks(_ submission: Submission) throws {
        let name = FilePath(submission.specPath).lastComponent?.string ?? submission.specPath
        // Every other problem is found with those of the files.
        guard let spec = JobSpec.reading(yaml: submission.specText, fileName: name, output: "/").spec else { return }
        if spec.curvedTasks.isEmpty { throw CommandFailure(.badInput, "\(name): \(JobReference.noCurvature)") }
        if spec.mergedTasks.isEmpty { throw CommandFailure(.badInput, "\(name): \(JobReference.noModels)") }
        let names = Set(spec.mergedTasks.map(\.name)).union(spec.curvedTasks.map(\.name))
        guard names.count > 1 else {
            throw CommandFailure(
                .badInput,
                "\(name): the job has one task, \"\(names.first?.rawValue ?? "")\"; expected at least two, since "
                    + "interference is between tasks. Name a job with more models.")
        }
    }
}
