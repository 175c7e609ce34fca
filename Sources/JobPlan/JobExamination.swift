/// The comparison of a job with the content of its files.
///
/// The problems, the notices and the plan of the job all need these results, so they are computed once.
struct JobExamination {
    let spec: JobSpec
    let inventory: JobInventory
    /// The blocks with curvature.
    let selection: CurvatureSelection
    /// What is merged at a time of tensors without factors.
    let matrices: MergedMatrices
    /// The comparisons of the checkpoints with the base.
    let comparisons: [CheckpointComparison]
    /// The comparison of the models' configurations with the base's.
    let configurations: (problems: [JobProblem], notices: [JobNotice])

    init(_ spec: JobSpec, _ inventory: JobInventory) {
        self.spec = spec
        self.inventory = inventory
        selection = CurvatureSelection(spec: spec, inventory: inventory)
        matrices = MergedMatrices(
            spec: spec, base: inventory.base, layouts: WeightLayouts(spec: spec, inventory: inventory))
        let ignored = IgnoredTensors(spec)
        comparisons = spec.tasks.compactMap { task in
            inventory.checkpoints[task.name].map {
                CheckpointComparison(
                    of: task, $0, against: inventory.base, ignoring: ignored,
                    renamedBy: inventory.renamings[task.name], asking: spec.mismatchedShapes)
            }
        }
        configurations = spec.configurationFindings(inventory)
    }

    /// All problems of the job.
    var problems: [JobProblem] { spec.problems(in: self) }

    /// All notices about the job.
    var notices: [JobNotice] { spec.notices(in: self) }
}
