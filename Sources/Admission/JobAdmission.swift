public import FileAccess
public import Identifiers
import JobFiles
public import JobPlan
public import Publication
public import PushedRuns
import Safetensors
import SystemPackage
import UnitOperations

/// Turns a job file's text into a job that can run, or into the list of all its problems.
public enum JobAdmission {
    /// Reads, checks and plans; writes nothing.
    ///
    /// - Parameters:
    ///   - submission: The job file, and whether its output directory may be replaced.
    ///   - id: The job's name.
    ///   - roots: The directories where its files and its output may be.
    ///   - owner: The identity that publishes its output.
    ///   - runs: The coordinator's runs; `nil` where there are none.
    ///   - isResumption: Whether the job already runs, so that its own output is not an obstacle.
    ///   - progress: Receives the progress of the check.
    /// - Returns: The job, planned, with its files open.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs.
    public static func admit(
        _ submission: Submission, as id: JobID, roots: FileRoots, owner: ClaimOwner, runs: RunStore? = nil,
        isResumption: Bool = false, progress: AdmissionProgress = AdmissionProgress()
    ) throws(JobRefusal) -> Job {
        try inspect(
            submission, as: id, roots: roots, owner: owner, runs: runs, isResumption: isResumption, depth: .contents,
            progress: progress)
    }

    /// Refuses a job for what its headers show, before anything is started for it; writes nothing.
    ///
    /// The contents of the files are compared only if the headers show a problem, so that all problems are reported
    /// together. Otherwise ``admit(_:as:roots:owner:runs:isResumption:progress:)`` compares them once, when the job
    /// begins.
    ///
    /// - Parameters:
    ///   - submission: The job file, and whether its output directory may be replaced.
    ///   - id: The job's name.
    ///   - roots: The directories where its files and its output may be.
    ///   - owner: The identity that will publish its output.
    ///   - workerMemories: The memory that each worker will offer, in bytes.
    ///   - progress: Receives the progress of the check.
    /// - Returns: The job, planned, with its files open.
    /// - Throws: `JobRefusal` as `admit`, or with a unit that is too large for every worker.
    @discardableResult
    public static func preview(
        _ submission: Submission, as id: JobID, roots: FileRoots, owner: ClaimOwner, workerMemories: [UInt64],
        progress: AdmissionProgress = AdmissionProgress()
    ) throws(JobRefusal) -> Job {
        func inspected(_ depth: InspectionDepth) throws(JobRefusal) -> Job {
            try inspect(submission, as: id, roots: roots, owner: owner, depth: depth, progress: progress)
        }
        let job: Job
        do throws(JobRefusal) {
            job = try inspected(.headers)
        } catch {
            guard !error.isInterruption else { throw error }
            job = try inspected(.contents)
        }
        if let problem = memoryProblem(of: job.plan, workerMemories: workerMemories) {
            throw JobRefusal(problems: [problem])
        }
        return job
    }

    private static func inspect(
        _ submission: Submission, as id: JobID, roots: FileRoots, owner: ClaimOwner, runs: RunStore? = nil,
        isResumption: Bool = false, depth: InspectionDepth, progress: AdmissionProgress
    ) throws(JobRefusal) -> Job {
        let path = FilePath(submission.specPath)
        let (read, formProblems) = JobSpec.reading(
            yaml: submission.specText, fileName: path.lastComponent?.string ?? submission.specPath,
            output: submission.output)
        guard let written = read else { throw JobRefusal(problems: formProblems) }
        let paths = JobPaths(specPath: submission.specPath)
        let outputPath = paths.absolute(written.output.value)
        var reader = InventoryReader(
            spec: written, paths: paths, roots: roots, depth: depth, progress: progress, job: id, runs: runs)
        reader.read()
        guard !Task.isCancelled else { throw JobRefusal(interruption: "the check was ended") }
        progress.note("planning its units")
        var inventory = reader.inventory
        let (spec, baseProblems) = reader.spec.settlingListedBase(in: &inventory)
        var problems = formProblems + reader.problems + baseProblems
        do throws(FileRootsError) {
            try roots.requireInside(outputPath)
        } catch {
            throw JobRefusal(
                problems: problems + [JobProblem(at: "\(spec.output.location) (output)", error.description)])
        }
        let output = OutputDirectory(
            path: outputPath, job: id.rawValue, owner: owner, overwrites: submission.overwrites, roots: roots)
        let inputs = OutputOverlap.inputs(of: written, at: submission.specPath, paths, reader.inventory)
        if let problem = OutputOverlap.problem(of: outputPath, inputs: inputs) {
            // This check comes before the output is inspected, because every file there may be an input.
            throw JobRefusal(problems: problems + [JobProblem(at: spec.output.location, problem)])
        }
        guard let base = reader.base else {
            problems += output.problems(publishing: []).map { JobProblem(at: spec.output.location, $0) }
            throw JobRefusal(problems: problems)
        }
        // Contradictions between files are reported with the other problems, unless they only repeat that a file was
        // misread. Without other problems the plan reports them.
        if formProblems.isEmpty, !problems.isEmpty, !reader.isBaseWrong, inventory.isComplete(for: spec) {
            problems += spec.problems(against: inventory)
        }
        inventory.notices += companionNotices(of: spec, base)
        var plan: JobPlan?
        if problems.isEmpty {
            do throws(JobRefusal) {
                plan = try JobPlan(spec: spec, inventory: inventory)
                if depth == .contents {
                    progress.note("comparing its models with the base")
                    problems += modelProblems(
                        of: spec, inventory, TensorComparison(files: reader.openFiles), isResumption: isResumption)
                }
            } catch {
                problems += error.problems
            }
        }
        let planned = plan.map { PlannedOutputs.files(of: $0, base: base) } ?? []
        if !isResumption {
            problems += output.problems(publishing: planned).map { JobProblem(at: spec.output.location, $0) }
        }
        guard let plan, problems.isEmpty else { throw JobRefusal(problems: problems) }
        return Job(
            id: id, plan: plan, inputs: JobInputs(files: reader.openFiles, base: base), runs: reader.runMembers,
            output: output,
            shortage: isResumption ? nil : output.shortage(publishing: planned),
            fingerprint: inventory.fingerprint(
                specText: submission.specText, output: outputPath.string, blocks: plan.blocks,
                parts: plan.mergedParts),
            source: JobSpec.source(of: submission.specText))
    }

    /// The problems that the values of the models show.
    private static func modelProblems(
        of spec: JobSpec, _ inventory: JobInventory, _ comparison: TensorComparison, isResumption: Bool
    ) -> [JobProblem] {
        let problems = EncodedWeights(spec: spec, inventory: inventory, comparison: comparison).problems()
        // A job that already runs passed the second check.
        guard problems.isEmpty, !isResumption else { return problems }
        let unexported = UnexportedChanges(spec: spec, inventory: inventory, comparison: comparison).problems()
        return unexported + UnchangedModels(spec: spec, inventory: inventory, comparison: comparison).problems()
    }

    /// Files beside the base that do not go with the merged checkpoint.
    private static func companionNotices(of spec: JobSpec, _ base: SafetensorsSet) -> [JobNotice] {
        let checkpoint = spec.checkpoint
        guard spec.outputs.contains(.merged), checkpoint.adapterRank == nil else { return [] }
        let files = CompanionFiles(besides: base, hasTokenizer: checkpoint.copiesTokenizer)
        let place = checkpoint.layout == .flat ? "the output directory" : "merged/"
        let shown = files.leftOut.prefix(10).joined(separator: ", ")
        let rest = files.leftOut.count > 10 ? " and \(files.leftOut.count - 10) more" : ""
        let left = files.leftOut.isEmpty ? [] : ["not copied from the base to \(place): \(shown)\(rest)."]
        return (left + files.notFollowed.prefix(5)).map { JobNotice(at: spec.baseModel.location, $0) }
    }

    /// The problem that a unit is too large for every worker.
    ///
    /// - Parameters:
    ///   - plan: The job's plan.
    ///   - workerMemories: The memory that each worker offers, in bytes. Without workers nothing is compared.
    /// - Returns: A problem, or `nil`.
    public static func memoryProblem(of plan: JobPlan, workerMemories: [UInt64]) -> JobProblem? {
        guard let unit = plan.largestWorkerUnit, let largest = workerMemories.max(), unit.cost.memoryBytes > largest
        else { return nil }
        return JobProblem(
            at: plan.spec.fileName,
            "the \(unit.title) needs \(unit.cost.memoryBytes >> 20) MiB of memory; the largest worker offers "
                + "\(largest >> 20) MiB. Start a worker with more (--memory), or leave the layer out with \"layers\".")
    }
}

extension JobInventory {
    /// Whether the files of all tasks could be read; only then is something really missing in them.
    fileprivate func isComplete(for spec: JobSpec) -> Bool {
        spec.tasks.allSatisfy { task in
            (task.model == nil || checkpoints[task.name] != nil)
                && (task.captures.isEmpty || captures[task.name] != nil)
                && (task.factors.isEmpty || factorSets[task.name] != nil || partials[task.name] != nil)
        }
    }
}
