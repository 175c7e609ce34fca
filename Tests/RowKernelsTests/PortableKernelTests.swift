import CRowKernels
import RowKernels
import TestSupport
import Testing

/// Compares the baseline kernels, which a processor with AVX2 never uses, with those that it uses.
///
/// Both have the same C source. They differ in rounding where AVX2 fuses a multiplication and an addition.
struct PortableKernelTests {
    private static let rows = 5

    @Test(arguments: widths) func `the quick GELU agrees`(columns: Int) {
        var random = SplitMix64(seed: 41)
        let count = Self.rows * columns
        let input = random.buffer(count, bound: 8)
        var (output, slope) = (input, input)
        RowKernels.quickGELU(input, output: &output, slope: &slope, count: count)
        var (portable, portableSlope) = (input, input)
        kfacd_quick_gelu_portable(input, &portable, &portableSlope, count)
        expectBuffer(portable, output.wide, absolute: 3e-7)
        expectBuffer(portableSlope, slope.wide, absolute: 3e-7)
    }

    @Test(arguments: widths) func `the softmax and its derivative agree`(columns: Int) {
        var random = SplitMix64(seed: 42)
        let logits = random.buffer(Self.rows * columns, bound: 6)
        var (found, portable) = (logits, logits)
        RowKernels.softmax(&found, rows: Self.rows, columns: columns)
        kfacd_softmax_rows_portable(&portable, Self.rows, columns)
        expectBuffer(portable, found.wide, relative: 1e-6)

        let probabilities = found
        (found, portable) = (logits, logits)
        RowKernels.softmaxDerivative(probabilities, of: &found, rows: Self.rows, columns: columns)
        kfacd_softmax_derivative_portable(probabilities, &portable, Self.rows, columns)
        expectBuffer(portable, found.wide, absolute: 1e-6)
    }

    @Test(arguments: widths) func `the normalisation and its derivative agree`(columns: Int) {
        var random = SplitMix64(seed: 43)
        let input = random.buffer(Self.rows * columns)
        var (normalized, rates) = (input, random.buffer(Self.rows))
        var (portable, portableRates) = (normalized, rates)
        RowKernels.normalize(
            input, normalized: &normalized, rates: &rates, rows: Self.rows, columns: columns, epsilon: 1e-5)
        kfacd_normalize_rows_portable(input, &portable, &portableRates, Self.rows, columns, 1e-5)
        expectBuffer(portable, normalized.wide, absolute: 3e-7)
        expectBuffer(portableRates, rates.wide, relative: 1e-6)

        let (vectors, scale) = (random.buffer(Self.rows * columns), random.buffer(columns))
        var result = vectors
        RowKernels.normalizationDerivative(
            of: vectors, scaledBy: ParameterSlice(scale), normalized: normalized, rates: rates, result: &result,
            rows: Self.rows, columns: columns, adding: true)
        var portableResult = vectors
        kfacd_normalization_derivative_portable(
            normalized, rates, vectors, scale, &portableResult, Self.rows, columns, 1)
        expectBuffer(portableResult, result.wide, absolute: 1e-6)
    }

    @Test(arguments: widths) func `scaling, sums, broadcasts and products agree`(columns: Int) {
        var random = SplitMix64(seed: 44)
        let count = Self.rows * columns
        let (input, former, row) = (random.buffer(count), random.buffer(count), random.buffer(columns))
        var (found, portable) = (former, former)
        RowKernels.scale(
            input, by: ParameterSlice(row), shift: ParameterSlice(row), result: &found, rows: Self.rows,
            columns: columns, adding: true)
        kfacd_scale_rows_portable(input, row, row, &portable, Self.rows, columns, 1)
        RowKernels.broadcast(ParameterSlice(row), to: &found, rows: Self.rows, columns: columns, adding: true)
        kfacd_broadcast_row_portable(row, &portable, Self.rows, columns, 1)
        RowKernels.multiply(&found, by: input, count: count)
        kfacd_multiply_portable(&portable, input, count)
        expectBuffer(portable, found.wide, absolute: 3e-7)

        var (sums, portableSums) = (row, row)
        RowKernels.addGroupSums(
            of: input, times: former, to: &sums, groups: 1, rowsPerGroup: Self.rows, columns: columns)
        kfacd_add_group_sums_portable(input, former, &portableSums, 1, Self.rows, columns)
        expectBuffer(portableSums, sums.wide, absolute: 3e-7)
    }

    @Test(arguments: widths) func `a step of Adam agrees`(count: Int) {
        var random = SplitMix64(seed: 45)
        let step = AdamStep(number: 3, learningRate: 0.01)
        let (gradient, zeros) = (random.buffer(count), [Float](repeating: 0, count: count))
        var (values, mean, square) = (zeros, zeros, zeros)
        var (portable, portableMean, portableSquare) = (zeros, zeros, zeros)
        RowKernels.adamStep(&values, mean: &mean, square: &square, gradient: gradient, step: step)
        kfacd_adam_step_portable(
            &portable, &portableMean, &portableSquare, gradient, count, step.beta1, step.beta2, step.learningRate,
            step.meanCorrection, step.squareCorrection, step.epsilon)
        expectClose(portable, values, relative: 1e-6)
        expectClose(portableMean, mean, relative: 1e-6)
        expectClose(portableSquare, square, relative: 1e-6)
    }
}
