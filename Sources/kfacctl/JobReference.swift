import ArgumentParser
import Console
import FileAccess
import Foundation
import Identifiers
import JobPlan
import SystemPackage
import WireProtocol

/// What a user names to see the interference of a job: a finished job, its report, or a job file.
enum JobReference {
    /// A job at a coordinator.
    case job(JobID)
    /// A report.
    case report(FilePath)
    /// A job file, whose interference is still to be measured.
    case jobFile(String)

    /// The sentence about a job without captures and factors.
    static let noCurvature =
        "no model of the job has curvature, which interference is measured by. Give the models \"captures\" or "
        + "\"factors\"."
    /// The sentence about a job without models.
    static let noModels =
        "no task of the job has a model, so there are no task vectors. Give the tasks a \"model\"."

    /// Tells the kinds apart by the name and by what is there.
    ///
    /// - Throws: ``CommandFailure`` if there is nothing of the name.
    init(_ text: String) throws {
        if text.hasPrefix("job-"), let number = Int(text.dropFirst("job-".count)), number > 0, "job-\(number)" == text {
            self = .job(JobID(rawValue: text))
            return
        }
        let path = FilePath(text)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: text, isDirectory: &isDirectory) else {
            throw CommandFailure(
                .badInput,
                "\(text): there is nothing of this name; expected a job's name such as \"job-1\", the output directory "
                    + "or report.json of a job, or a job file. Check the path.")
        }
        if isDirectory.boolValue {
            self = .report(path.appending("report.json"))
        } else if path.extension == "json", !Self.isJobFile(path) {
            self = .report(path)
        } else {
            self = .jobFile(text)
        }
    }

    /// Whether a file of JSON is a job, since JSON is YAML.
    private static func isJobFile(_ path: FilePath) -> Bool {
        guard let bytes = try? WholeFile.read(path, limit: 1 << 20),
            let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        else { return false }
        return object["merge_method"] != nil
    }
}

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
