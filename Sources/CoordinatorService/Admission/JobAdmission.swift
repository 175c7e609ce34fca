import FileAccess
import Identifiers
import JobFiles
import JobPlan
import Publication
import Safetensors
import SystemPackage
import WireProtocol

/// From a job file's text to a job that can run, or to everything that is wrong with it.
enum JobAdmission {
    /// Reads, looks and plans; nothing is written.
    ///
    /// - Parameters:
    ///   - submission: The job file, and what may be done with the output directory.
    ///   - id: The job's name.
    ///   - roots: Where its files may lie, and its output.
    ///   - owner: Who publishes its output.
    ///   - isResumption: Whether the job runs already, so that its own output is no obstacle.
    ///   - progress: Where it is told how far the check is.
    /// - Returns: The job, planned, with its files open.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs.
    static func admit(
        _ submission: Submission, as id: JobID, roots: FileRoots, owner: ClaimOwner, isResumption: Bool = false,
        progress: AdmissionProgress = AdmissionProgress()
    ) throws(JobRefusal) -> Job {
        let path = FilePath(submission.specPath)
        let (read, formProblems) = JobSpec.reading(
            yaml: submission.specText, fileName: path.lastComponent?.string ?? submission.specPath,
            output: submission.output)
        guard let written = read else { throw JobRefusal(problems: formProblems) }
        let paths = JobPaths(specPath: submission.specPath)
        let outputPath = paths.absolute(written.output.value)
        var reader = InventoryReader(spec: written, paths: paths, roots: roots, progress: progress)
        reader.read()
        guard !Task.isCancelled else { throw JobRefusal(interruption: "the check was ended") }
        progress.note("is being planned")
        var inventory = reader.inventory
        let (spec, baseProblems) = written.settlingListedBase(in: &inventory)
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
            // Before anything that is there is looked at: all of it may be an input.
            throw JobRefusal(problems: problems + [JobProblem(at: spec.output.location, problem)])
        }
        guard let base = reader.base else {
            problems += output.problems(publishing: []).map { JobProblem(at: spec.output.location, $0) }
            throw JobRefusal(problems: problems)
        }
        // Contradictions between files are told with the rest, unless they would only echo a file that was misread.
        // Where nothing else is wrong the plan tells them.
        if formProblems.isEmpty, !problems.isEmpty, !reader.isBaseWrong, inventory.isComplete(for: spec) {
            problems += spec.problems(against: inventory)
        }
        inventory.notices += companionNotices(of: spec, base)
        var plan: JobPlan?
        if problems.isEmpty {
            do throws(JobRefusal) {
                plan = try JobPlan(spec: spec, inventory: inventory)
                let comparison = TensorComparison(files: reader.openFiles)
                problems += EncodedWeights(spec: spec, inventory: inventory, comparison: comparison).problems()
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
            id: id, plan: plan, inputs: JobInputs(files: reader.openFiles, base: base), output: output,
            shortage: isResumption ? nil : output.shortage(publishing: planned),
            fingerprint: inventory.fingerprint(specText: submission.specText, output: outputPath.string))
    }

    /// What lies beside the base and does not go with the merged checkpoint.
    private static func companionNotices(of spec: JobSpec, _ base: SafetensorsSet) -> [JobNotice] {
        guard spec.outputs.contains(.merged) else { return [] }
        let files = CompanionFiles(besides: base)
        let shown = files.leftOut.prefix(10).joined(separator: ", ")
        let rest = files.leftOut.count > 10 ? " and \(files.leftOut.count - 10) more" : ""
        let left = files.leftOut.isEmpty ? [] : ["not copied from the base to merged/: \(shown)\(rest)."]
        return (left + files.notFollowed.prefix(5)).map { JobNotice(at: spec.baseModel.location, $0) }
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
