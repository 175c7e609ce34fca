import Identifiers
import JobPlan
import SystemPackage

/// From a job file's text to a job that can run, or to everything that is wrong with it.
enum JobAdmission {
    /// Reads, looks and plans; nothing is written.
    ///
    /// - Parameters:
    ///   - text: The job file's text.
    ///   - specPath: Its absolute path.
    ///   - id: The job's name.
    ///   - overwrites: Whether an output directory that is not empty may be replaced.
    ///   - isResumption: Whether the job runs already, so that its own output is no obstacle.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs.
    static func admit(
        text: String, specPath: String, id: JobID, overwrites: Bool, isResumption: Bool = false
    ) throws(JobRefusal) -> Job {
        let path = FilePath(specPath)
        let spec = try JobSpec(yaml: text, fileName: path.lastComponent?.string ?? specPath)
        let paths = JobPaths(specPath: specPath)
        let outputPath = paths.absolute(spec.output.value)
        var reader = InventoryReader(spec: spec, paths: paths)
        reader.read()
        var problems = reader.problems
        if !isResumption, let problem = OutputDirectory.problem(
            at: outputPath, written: spec.output, overwrites: overwrites)
        {
            problems.append(problem)
        }
        guard let base = reader.base else { throw JobRefusal(problems: problems) }
        // What can be said of the files that were read is said with the rest.
        if problems.isEmpty || reader.inventory.isComplete(for: spec) {
            problems += spec.problems(against: reader.inventory)
        }
        guard problems.isEmpty else { throw JobRefusal(problems: problems) }
        return Job(
            id: id, plan: try JobPlan(spec: spec, inventory: reader.inventory),
            inputs: JobInputs(files: reader.openFiles, base: base),
            output: OutputDirectory(path: outputPath, job: id),
            fingerprint: reader.inventory.fingerprint(specText: text))
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
