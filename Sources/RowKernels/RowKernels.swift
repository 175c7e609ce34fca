internal import CRowKernels

/// Row-wise functions of a transformer that BLAS lacks, each with its derivative.
///
/// A derivative that is another of these functions is left out. All are in fp32, single-threaded, with a fixed order of
/// every sum.
///
/// Matrices are row-major and start at the first element of their arrays. The arrays may be longer, because workspaces
/// are allocated once for the largest batch. An array that is too short is the caller's mistake and stops the program.
public enum RowKernels {
    /// The quick GELU u · σ(1.702 u) and its derivative.
    ///
    /// - Parameters:
    ///   - input: u, `[count]`.
    ///   - output: Receives u · σ(1.702 u).
    ///   - slope: Receives σ · (1 + 1.702 u (1 − σ)).
    ///   - count: Number of elements.
    public static func quickGELU(_ input: [Float], output: inout [Float], slope: inout [Float], count: Int) {
        require(input, count)
        require(output, count)
        require(slope, count)
        unsafe kfacd_quick_gelu(input, &output, &slope, count)
    }

    /// Replaces each row by its softmax.
    ///
    /// - Parameters:
    ///   - matrix: `[rows, columns]`.
    ///   - rows: Number of rows.
    ///   - columns: Their length, at least 1.
    public static func softmax(_ matrix: inout [Float], rows: Int, columns: Int) {
        require(matrix, rows * columns)
        unsafe kfacd_softmax_rows(&matrix, rows, columns)
    }

    /// The softmax's derivative, which is its own transpose: each row v becomes p ∘ (v − ⟨p, v⟩).
    ///
    /// - Parameters:
    ///   - probabilities: p, `[rows, columns]`, from ``softmax(_:rows:columns:)``.
    ///   - matrix: v, of the same shape.
    ///   - rows: Number of rows.
    ///   - columns: Their length.
    public static func softmaxDerivative(_ probabilities: [Float], of matrix: inout [Float], rows: Int, columns: Int) {
        require(probabilities, rows * columns)
        require(matrix, rows * columns)
        unsafe kfacd_softmax_derivative(probabilities, &matrix, rows, columns)
    }

    /// Subtracts each row's mean, and multiplies by 1 / √(variance + ε).
    ///
    /// - Parameters:
    ///   - input: `[rows, columns]`.
    ///   - normalized: Receives the rows.
    ///   - rates: Receives 1 / √(variance + ε) of each row.
    ///   - rows: Number of rows.
    ///   - columns: Their length.
    ///   - epsilon: ε.
    public static func normalize(
        _ input: [Float], normalized: inout [Float], rates: inout [Float], rows: Int, columns: Int, epsilon: Float
    ) {
        require(input, rows * columns)
        require(normalized, rows * columns)
        require(rates, rows)
        unsafe kfacd_normalize_rows(input, &normalized, &rates, rows, columns, epsilon)
    }

    /// The derivative of ``normalize(_:normalized:rates:rows:columns:epsilon:)``, which is its own transpose.
    ///
    /// For one row v: rate · (v − mean(v) − n · mean(n ∘ v)).
    ///
    /// - Parameters:
    ///   - value: v, `[rows, columns]`.
    ///   - scale: `[columns]` from an offset; each row of v is multiplied by it first; nil for none.
    ///   - normalized: n, from ``normalize(_:normalized:rates:rows:columns:epsilon:)``.
    ///   - rates: The rows' rates, from the same call.
    ///   - result: Receives the rows.
    ///   - rows: Number of rows.
    ///   - columns: Their length.
    ///   - adding: Whether to add to `result` instead of replacing it.
    public static func normalizationDerivative(
        of value: [Float], scaledBy scale: ParameterSlice?, normalized: [Float], rates: [Float],
        result: inout [Float], rows: Int, columns: Int, adding: Bool
    ) {
        require(value, rows * columns)
        require(normalized, rows * columns)
        require(rates, rows)
        require(result, rows * columns)
        if let scale {
            require(scale, columns)
            unsafe scale.values.withUnsafeBufferPointer { factors in
                unsafe kfacd_normalization_derivative(
                    normalized, rates, value, factors.baseAddress.map { unsafe $0 + scale.offset }, &result, rows,
                    columns, adding ? 1 : 0)
            }
        } else {
            unsafe kfacd_normalization_derivative(
                normalized, rates, value, nil, &result, rows, columns, adding ? 1 : 0)
        }
    }

    /// `result = scale ∘ input + shift` for each row.
    ///
    /// - Parameters:
    ///   - input: `[rows, columns]`.
    ///   - scale: `[columns]`.
    ///   - shift: `[columns]`; nil for none.
    ///   - result: Receives the rows.
    ///   - rows: Number of rows.
    ///   - columns: Their length.
    ///   - adding: Whether to add to `result` instead of replacing it.
    public static func scale(
        _ input: [Float], by scale: ParameterSlice, shift: ParameterSlice? = nil, result: inout [Float], rows: Int,
        columns: Int, adding: Bool = false
    ) {
        require(input, rows * columns)
        require(scale, columns)
        require(result, rows * columns)
        if let shift { require(shift, columns) }
        unsafe scale.values.withUnsafeBufferPointer { factors in
            guard let factors = factors.baseAddress else { return }
            if let shift {
                unsafe shift.values.withUnsafeBufferPointer { offsets in
                    unsafe kfacd_scale_rows(
                        input, factors + scale.offset, offsets.baseAddress.map { unsafe $0 + shift.offset }, &result,
                        rows, columns, adding ? 1 : 0)
                }
            } else {
                unsafe kfacd_scale_rows(input, factors + scale.offset, nil, &result, rows, columns, adding ? 1 : 0)
            }
        }
    }

    /// Adds, for each group of consecutive rows, Σ x ∘ y over its rows, or Σ x.
    ///
    /// - Parameters:
    ///   - x: `[groups · rowsPerGroup, columns]`.
    ///   - y: The same shape; nil for ones.
    ///   - sums: `[groups, columns]` from an offset; the sums are added to it.
    ///   - offset: Where the sums start.
    ///   - groups: Number of groups.
    ///   - rowsPerGroup: Rows of each group.
    ///   - columns: Their length.
    public static func addGroupSums(
        of x: [Float], times y: [Float]? = nil, to sums: inout [Float], at offset: Int = 0, groups: Int,
        rowsPerGroup: Int, columns: Int
    ) {
        require(x, groups * rowsPerGroup * columns)
        precondition(offset >= 0, "sums start inside their array")
        require(sums, offset + groups * columns)
        unsafe sums.withUnsafeMutableBufferPointer { target in
            guard let target = target.baseAddress else { return }
            if let y {
                require(y, groups * rowsPerGroup * columns)
                unsafe kfacd_add_group_sums(x, y, target + offset, groups, rowsPerGroup, columns)
            } else {
                unsafe kfacd_add_group_sums(x, nil, target + offset, groups, rowsPerGroup, columns)
            }
        }
    }

    /// Sets each row of `result` to `row`, or adds `row` to it.
    ///
    /// - Parameters:
    ///   - row: `[columns]`.
    ///   - result: `[rows, columns]`.
    ///   - rows: Number of rows.
    ///   - columns: Their length.
    ///   - adding: Whether to add to `result` instead of replacing it.
    public static func broadcast(
        _ row: ParameterSlice, to result: inout [Float], rows: Int, columns: Int, adding: Bool = false
    ) {
        require(row, columns)
        require(result, rows * columns)
        unsafe row.values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            unsafe kfacd_broadcast_row(values + row.offset, &result, rows, columns, adding ? 1 : 0)
        }
    }

    /// `left ∘= right`.
    ///
    /// - Parameters:
    ///   - left: `[count]`.
    ///   - right: `[count]`.
    ///   - count: Number of elements.
    public static func multiply(_ left: inout [Float], by right: [Float], count: Int) {
        require(left, count)
        require(right, count)
        unsafe kfacd_multiply(&left, right, count)
    }

    /// The sum of the rows' softmax cross-entropies, and its derivative in place.
    ///
    /// - Parameters:
    ///   - logits: `[rows, columns]`; becomes (softmax − one-hot) · scale.
    ///   - labels: The correct column of each row.
    ///   - columns: Number of classes.
    ///   - scale: Factor of the derivative; 1 / rows for the derivative of the mean.
    /// - Returns: Σ log Σ exp(x) − x[label].
    public static func crossEntropy(_ logits: inout [Float], labels: [Int32], columns: Int, scale: Float) -> Double {
        require(logits, labels.count * columns)
        precondition(labels.allSatisfy { 0..<Int32(columns) ~= $0 }, "a label outside the classes")
        var loss = 0.0
        unsafe kfacd_cross_entropy_rows(&logits, labels, labels.count, columns, scale, &loss)
        return loss
    }

    /// One step of AdamW without weight decay.
    ///
    /// Source: Loshchilov & Hutter 2019, algorithm 2.
    ///
    /// - Parameters:
    ///   - values: The trained parameters.
    ///   - mean: The gradient's running mean.
    ///   - square: The running mean of its square.
    ///   - gradient: The step's gradient.
    ///   - step: The step's constants.
    public static func adamStep(
        _ values: inout [Float], mean: inout [Float], square: inout [Float], gradient: [Float], step: AdamStep
    ) {
        let count = values.count
        require(mean, count)
        require(square, count)
        require(gradient, count)
        unsafe kfacd_adam_step(
            &values, &mean, &square, gradient, count, step.beta1, step.beta2, step.learningRate, step.meanCorrection,
            step.squareCorrection, step.epsilon)
    }

    private static func require(_ values: [Float], _ count: Int) {
        precondition(values.count >= count, "an array of \(values.count) elements, \(count) needed")
    }

    private static func require(_ slice: ParameterSlice, _ count: Int) {
        precondition(slice.offset >= 0 && slice.values.count - slice.offset >= count, "a slice beyond its array")
    }
}
