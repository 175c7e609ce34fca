import FileAccess
import Foundation
import Laboratory
import SystemPackage
import TaskArithmetic

/// The study's use of the daemon: captures → factors → regularizers of every form, by a coordinator and two workers.
///
/// One job computes the factors of a seed and source. Every form of regularizer is another job on these factors.
actor FactorLibrary {
    /// γ of the K-FAC merge, relative to the mean eigenvalue.
    static let mergeDamping = 0.1

    private let inputs: StudyInputs
    private let directory: StudyDirectory
    private let team: PassTeam
    private let daemon: DaemonProgram

    init(inputs: StudyInputs, directory: StudyDirectory, team: PassTeam, daemon: DaemonProgram) {
        self.inputs = inputs
        self.directory = directory
        self.team = team
        self.daemon = daemon
    }

    /// The directories of all tasks' factors; they are computed when they are missing.
    ///
    /// - Throws: `LaboratoryError`, `CancellationError`.
    func factors(_ source: FactorSource, seed: Int) async throws -> [String: FilePath] {
        let place = directory.factors(source, seed: seed)
        let captures = place.appending("captures")
        let job = CurvatureJob(
            baseModel: inputs.basePath,
            models: inputs.taskNames.map { task in
                CurvatureJob.Model(name: task, curvature: .captures(captures.appending("\(task).safetensors")))
            }, outputs: [.factors, .report], directory: place.appending("expand"))
        if !isDone(job) {
            try await writeCaptures(source, seed: seed, to: captures)
            try await daemon.run(job)
            // The rows are large, and the factors hold everything that is needed of them.
            directory.remove(inputs.taskNames.map { "\($0).safetensors" }, in: captures)
        }
        return Dictionary(uniqueKeysWithValues: inputs.taskNames.map { ($0, job.factors(of: $0)) })
    }

    /// The regularizer that leaves out a task; it is computed for all tasks when it is missing.
    ///
    /// - Throws: As ``factors(_:seed:)``.
    func regularizer(
        _ form: CurvatureJob.Form, without task: String, _ source: FactorSource, seed: Int
    ) async throws -> FilePath {
        let factors = try await factors(source, seed: seed)
        let job = CurvatureJob(
            baseModel: inputs.basePath,
            models: inputs.taskNames.map { name in
                CurvatureJob.Model(name: name, curvature: factors[name].map { .factors($0) })
            },
            regularizer: CurvatureJob.Regularizer(form: form), outputs: [.regularizer, .report],
            directory: directory.factors(source, seed: seed).appending(Self.name(of: form)))
        if !isDone(job) { try await daemon.run(job) }
        return job.regularizer(for: task)
    }

    /// Merges checkpoints under the factors; the report also has the interference of their vectors.
    ///
    /// - Parameters:
    ///   - method: The merge method.
    ///   - checkpoints: The checkpoints by task.
    ///   - name: The name of the outputs.
    ///   - source: The factors.
    ///   - seed: The seed.
    /// - Returns: The finished job.
    /// - Throws: As ``factors(_:seed:)``.
    func merge(
        _ method: MergeMethod, of checkpoints: [String: FilePath], name: String, _ source: FactorSource,
        seed: Int
    ) async throws -> CurvatureJob {
        let factors = try await factors(source, seed: seed)
        let job = CurvatureJob(
            baseModel: inputs.basePath,
            models: inputs.taskNames.map { task in
                CurvatureJob.Model(
                    name: task, checkpoint: checkpoints[task], curvature: factors[task].map { .factors($0) })
            },
            method: method, damping: Self.mergeDamping, outputs: [.merged, .report],
            directory: directory.merge(name, seed: seed))
        if !isDone(job) { try await daemon.run(job) }
        return job
    }

    private func writeCaptures(_ source: FactorSource, seed: Int, to captures: FilePath) async throws {
        try directory.makeDirectory(captures)
        let settings = CaptureSettings(
            sampleCount: source.sampleCount, probes: .sampled(source.probeCount), seed: seed)
        let recorder = CaptureRecorder(base: inputs.base, team: team, settings: settings)
        for task in inputs.train {
            let samples = settings.samples(of: task.name, in: task.labels.count)
            try await recorder.write(
                task.name, tokens: task.tokens, samples: samples,
                to: captures.appending("\(task.name).safetensors"))
        }
    }

    /// Whether this very job is done: its report, which is published last, is beside an equal job file.
    private func isDone(_ job: CurvatureJob) -> Bool {
        FileManager.default.fileExists(atPath: job.report.string)
            && (try? TextFile.read(job.jobFile, limit: job.text.utf8.count, isStored: true)) == job.text
    }

    private static func name(of form: CurvatureJob.Form) -> String {
        switch form {
        case .accumulated: "accumulated"
        case .optimal(let rank): "optimal-\(rank)"
        case .perTask: "per-task"
        }
    }
}
