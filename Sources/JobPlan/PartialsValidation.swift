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
        blocks.flatMap(problems)
    }

    private func problems(with block: CurvatureBlock) -> [JobProblem] {
        if case .linear(_, _, let hasBias, _) = block.kind, let stated = partials.hasBias[block.name], stated != hasBias
        {
            return [
                problem(
                    stated
                        ? "the layer \"\(block.name)\" was summed with a column of ones for a bias, but the base's has none."
                        : "the layer \"\(block.name)\" was summed without a bias, but the base's has one; expected a column "
                            + "of ones, the last.")
            ]
        }
        return block.factors.compactMap { side, shape in
            let name = FactorName(owner: block.name, side: side)
            guard let sum = partials.sums[name] else {
                return problem("the sum \"\(name)\" is missing, and other tasks have its factor.")
            }
            guard sum.shape != shape else { return nil }
            return problem(
                "the sum \"\(name)\" is \(sum.shape.words); the base's layer needs \(shape.words)."
                    + sum.shape.remedy(needing: shape)
                    + block.groupAdvice(of: side, exceedingBy: sum.shape.dimension - shape.dimension))
        }
    }

    private func problem(_ message: String) -> JobProblem { JobProblem(at: place, message) }
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
