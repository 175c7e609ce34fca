/// How much of a job's files a check reads.
enum InspectionDepth: Sendable {
    /// The headers, and tensors that may be tied, because a header alone would show them as missing.
    ///
    /// The time depends on the number of tensors, and not on their size.
    case headers
    /// Also contents, as far as problems, notices or the plan depend on them: a whole base for its digest, rows that
    /// layers share, inputs that repeat each other, weights that cannot be summed.
    case contents
}
