import Identifiers
import LinearAlgebra
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
        for (side, shape) in block.factors {
            let name = FactorName(owner: block.name, side: side)
            guard let sum = partials.sums[name] else {
                faults.append(
                    "the sum \"\(name)\" is missing, and other tasks have its factor. Sum it too, or leave the layer out "
                        + "with \"layers\".",
                    about: name.description, of: "sums", at: place)
                continue
            }
            guard sum.shape != shape else { continue }
            faults.append(
                "the sum \"\(name)\" is \(sum.shape.words); the base's layer needs \(shape.words).",
                about: name.description, of: "sums", at: place,
                advice: block.advice(about: side, of: sum.shape, needing: shape))
        }
    }
}

extension SymmetricShape {
    /// The shape of the tensor that holds such a factor, in words.
    var words: String { isDiagonal ? "a diagonal [\(dimension)]" : "[\(dimension), \(dimension)]" }

    /// What to do about a factor of the right dimension that is whole where the diagonal is needed.
    func remedy(needing needed: SymmetricShape) -> String {
        guard needed.isDiagonal, !isDiagonal, dimension == needed.dimension else { return "" }
        return " The job, another task or another use of the weight has only the diagonal: store the diagonal of this "
            + "one too, and name it under \"diagonal\" in the metadata."
    }
}
