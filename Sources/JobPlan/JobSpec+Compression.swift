import LinearAlgebra
import UnitOperations

extension JobSpec {
    /// Compression without a file that it changes, and matrices that the form cannot be computed of.
    func compressionProblems(_ blocks: [CurvatureBlock]) -> [JobProblem] {
        guard let compression = curvature.compression else { return [] }
        guard !outputs.isDisjoint(with: [.factors, .regularizer]) else {
            return [
                JobProblem(
                    at: compression.location,
                    "\"compression\" is a form of factor and regularizer files, which the job does not write. Add "
                        + "\"factors\" or \"regularizer\" to the outputs, or remove \"compression\".")
            ]
        }
        guard case .lowRank = compression.form else { return [] }
        return blocks.compactMap { block in
            let most = SymmetricEigen<Double>.dimensionMax
            guard let (side, shape) = block.factors.first(where: { !$0.shape.isDiagonal && $0.shape.dimension > most })
            else { return nil }
            return JobProblem(
                at: compression.location,
                "the form \"low_rank\" needs the eigenvectors of \"\(FactorName(owner: block.name, side: side))\", which "
                    + "has \(shape.dimension) rows; LAPACK computes those of at most \(most). Choose another form, or "
                    + "leave the layer out with \"layers\".")
        }
    }
}
