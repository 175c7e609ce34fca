import FileAccess
import Identifiers
import JobPlan
import Lanes
import SystemPackage
import WireProtocol

/// Admits jobs on a thread of its own, since headers, and sometimes a whole base, are read for it.
actor AdmissionDesk {
    private let lane = Lane("kfacd.admission")
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Reads, looks and plans; nothing is written.
    ///
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs.
    func admit(_ submission: Submission, as id: JobID, isResumption: Bool = false) throws(JobRefusal) -> Job {
        try JobAdmission.admit(submission, as: id, roots: roots, isResumption: isResumption)
    }
}

/// From a job file's text to a job that can run, or to everything that is wrong with it.
enum JobAdmission {
    /// Reads, looks and plans; nothing is written.
    ///
    /// - Parameters:
    ///   - submission: The job file, and what may be done with the output directory.
    ///   - id: The job's name.
    ///   - roots: Where its files may lie, and its output.
    ///   - isResumption: Whether the job runs already, so that its own output is no obstacle.
    /// - Returns: The job, planned, with its files open.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs.
    static func admit(
        _ submission: Submission, as id: JobID, roots: FileRoots, isResumption: Bool = false
    ) throws(JobRefusal) -> Job {
        let path = FilePath(submission.specPath)
        let (read, formProblems) = JobSpec.reading(
            yaml: submission.specText, fileName: path.lastComponent?.string ?? submission.specPath,
            output: submission.output)
        guard let written = read else { throw JobRefusal(problems: formProblems) }
        let paths = JobPaths(specPath: submission.specPath)
        let outputPath = paths.absolute(written.output.value)
        var reader = InventoryReader(spec: written, paths: paths, roots: roots)
        reader.read()
        var inventory = reader.inventory
        let (spec, baseProblems) = written.settlingListedBase(in: &inventory)
        var problems = formProblems + reader.problems + baseProblems
        do throws(FileRootsError) {
            try roots.requireInside(outputPath)
        } catch {
            throw JobRefusal(
                problems: problems + [JobProblem(at: "\(spec.output.location) (output)", error.description)])
        }
        if !isResumption,
            let problem = OutputDirectory.problem(
                at: outputPath, written: spec.output, overwrites: submission.overwrites)
        {
            problems.append(problem)
        }
        guard let base = reader.base else { throw JobRefusal(problems: problems) }
        // What the files say of each other is said with the rest, unless it would only echo what was misread.
        if formProblems.isEmpty, !reader.isBaseWrong, inventory.isComplete(for: spec) {
            problems += spec.problems(against: inventory)
        }
        guard problems.isEmpty else { throw JobRefusal(problems: problems) }
        return Job(
            id: id, plan: try JobPlan(spec: spec, inventory: inventory),
            inputs: JobInputs(files: reader.openFiles, base: base),
            output: OutputDirectory(path: outputPath, job: id, roots: roots),
            fingerprint: inventory.fingerprint(specText: submission.specText, output: outputPath.string))
    }

    /// What forbids to run a job on these workers: a unit that is too large for every one of them.
    ///
    /// - Parameters:
    ///   - plan: The job's plan.
    ///   - workerMemories: What each worker offers, in bytes; with no worker there is nothing to compare.
    /// - Returns: A problem, or `nil`.
    static func memoryProblem(of plan: JobPlan, workerMemories: [UInt64]) -> JobProblem? {
        guard let unit = plan.largestWorkerUnit, let largest = workerMemories.max(), unit.cost.memoryBytes > largest
        else { return nil }
        return JobProblem(
            at: plan.spec.fileName,
            "the \(unit.title) needs \(unit.cost.memoryBytes >> 20) MiB of memory; the largest worker offers "
                + "\(largest >> 20) MiB. Start a worker with more (--memory), or leave the layer out with \"layers\".")
    }
}

extension JobInventory {
    /// Whether the files of all tasks could be read, so that what is missing in them is not the reading's fault.
    fileprivate func isComplete(for spec: JobSpec) -> Bool {
        spec.tasks.allSatisfy { task in
            (task.model == nil || checkpoints[task.name] != nil)
                && (task.captures.isEmpty || captures[task.name] != nil)
                && (task.factors == nil || factorSets[task.name] != nil)
        }
    }
}
