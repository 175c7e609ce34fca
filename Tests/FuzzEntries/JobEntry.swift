import JobPlan

/// Reads bytes as a job file, checks it against files that fit its tasks, and plans it.
func takeJob(_ bytes: [UInt8]) throws(BrokenPromise) {
    let (spec, problems) = JobSpec.reading(
        yaml: String(decoding: bytes, as: UTF8.self), fileName: "job.yaml")
    for problem in problems where problem.description.isEmpty { throw BrokenPromise("a problem without a sentence") }
    guard let spec else {
        guard !problems.isEmpty else { throw BrokenPromise("a job file is refused without a problem") }
        return
    }
    let inventory = ExampleFiles.inventory(for: spec)
    let contradictions = spec.problems(against: inventory)
    guard problems.isEmpty, contradictions.isEmpty else { return }
    let plan: JobPlan
    do throws(JobRefusal) {
        plan = try JobPlan(spec: spec, inventory: inventory)
    } catch {
        throw BrokenPromise("a job without problems is refused: \(error.description.prefix(200))")
    }
    for unit in plan.units where !unit.dependencies.allSatisfy({ $0 < unit.index }) {
        throw BrokenPromise("unit \(unit.index) stands before what it reads")
    }
}
