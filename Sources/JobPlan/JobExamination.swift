/// A job held against what its files hold: what its problems, its notices and its plan all need is found once.
struct JobExamination {
    let spec: JobSpec
    let inventory: JobInventory
    /// The blocks with curvature.
    let selection: CurvatureSelection
    /// The checkpoints held against the base.
    let comparisons: [CheckpointComparison]
    /// The configurations of the models held against the base's.
    let configurations: (problems: [JobProblem], notices: [JobNotice])

    init(_ spec: JobSpec, _ inventory: JobInventory) {
        self.spec = spec
        self.inventory = inventory
        selection = CurvatureSelection(spec: spec, inventory: inventory)
        let ignored = IgnoredTensors(spec)
        comparisons = spec.tasks.compactMap { task in
            inventory.checkpoints[task.name].map {
                CheckpointComparison(of: task, $0, against: inventory.base, ignoring: ignored)
            }
        }
        configurations = spec.configurationFindings(inventory)
    }

    /// Everything that is wrong with the job.
    var problems: [JobProblem] { spec.problems(in: self) }

    /// Everything that a person should know of the job.
    var notices: [JobNotice] { spec.notices(in: self) }
}
