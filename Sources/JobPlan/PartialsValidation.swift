import Identifiers
import UnitOperations

/// The check of a task's partial sums against the blocks of a job.
struct PartialsValidation {
    private let partials: PartialsInventory
    private let place: String

    init(of task: TaskName, _ partials: PartialsInventory) {
        self.partials = partials
        place = "partial sums of task \"\(task)\""
    }

    /// Problems of blocks without sums, and of sums that are not of their block's layer.
    func problems(with blocks: [CurvatureBlock]) -> [JobProblem] {
        var faults = SharedFaults()
        for block in blocks { check(block, &faults) }
        return faults.problems
    }

    private func check(_ block: CurvatureBlock, _ faults: inout SharedFaults) {
        if case .linear(_, _, let hasBias, _) = block.kind, let stated = partials.hasBias[block.name], stated != hasBias
        {
            faults.append(
                stated
                    ? "the layer \"\(block.name)\" was summed with a column of ones for a bias, but the base's has none. "
                        + "Sum the rows again on this base."
                    : "the layer \"\(block.name)\" was summed without a bias, but the base's has one; expected a column "
                        + "of ones, the last. Sum the rows again on this base.",
                about: block.name, of: "layers", at: place)
            return
        }
        StoredShapes(noun: "sum", verb: "Sum", place: place) { partials.sums[$0]?.shape }.check(block, &faults)
    }
}
