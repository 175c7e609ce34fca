/// Merges one block or one tensor in passes over the models.
public protocol StreamedComputation: ModelPasses, ~Copyable {
    /// Makes the result, after the last pass.
    ///
    /// - Throws: ``TaskArithmeticError`` when there is none; the sums are gone.
    consuming func finish() throws(TaskArithmeticError) -> MergedBlock
}
