import RowKernels
import TestSupport
import Testing

/// The normalisation of rows and its derivative against fp64; the unit roundoff of fp32 is 6e-8.
struct NormalizationTests {
    private static let rows = 5
    private static let epsilon: Float = 1e-5

    private static func rate(_ row: [Double]) -> Double {
        let mean = row.reduce(0, +) / Double(row.count)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
        return 1 / (variance + Double(epsilon)).squareRoot()
    }

    private static func normalize(_ row: [Double]) -> [Double] {
        let mean = row.reduce(0, +) / Double(row.count)
        let rate = rate(row)
        return row.map { ($0 - mean) * rate }
    }

    /// Rows, the kernel's results for them, and a vector for each row.
    private struct Case {
        let columns: Int
        let input: [Float]
        let vectors: [Float]
        var normalized: [Float]
        var rates: [Float]
        var random: SplitMix64

        init(columns: Int) {
            self.columns = columns
            random = SplitMix64(seed: 11)
            input = random.buffer(rows * columns)
            vectors = random.buffer(rows * columns)
            normalized = random.buffer(rows * columns)
            rates = random.buffer(rows)
            RowKernels.normalize(
                input, normalized: &normalized, rates: &rates, rows: rows, columns: columns, epsilon: epsilon)
        }

        /// J (scale ∘ v) and Jᵀ (scale ∘ v) of each row, from fp64 differences.
        func products(scale: [Double]) -> (forward: [Double], transposed: [Double]) {
            var (forward, transposed): ([Double], [Double]) = ([], [])
            for row in 0..<rows {
                let jacobian = Jacobian(of: normalizeWide, at: input.row(row, columns: columns))
                let vector = zip(scale, vectors.row(row, columns: columns)).map { $0 * $1 }
                forward += jacobian.times(vector)
                transposed += jacobian.transposedTimes(vector)
            }
            return (forward, transposed)
        }

        private func normalizeWide(_ row: [Double]) -> [Double] { NormalizationTests.normalize(row) }
    }

    @Test(arguments: widths) func `rows lose their mean and their deviation`(columns: Int) {
        let found = Case(columns: columns)
        let rows = (0..<Self.rows).map { found.input.row($0, columns: columns) }
        expectBuffer(found.normalized, rows.flatMap(Self.normalize), absolute: 4e-7)
        expectBuffer(found.rates, rows.map(Self.rate), relative: 4e-7)
    }

    @Test(arguments: widths) func `a constant row becomes zeros, with a rate that ε bounds`(columns: Int) {
        let input = [Float](repeating: 12.5, count: columns)
        var (normalized, rates): ([Float], [Float]) = (input, [0])
        RowKernels.normalize(
            input, normalized: &normalized, rates: &rates, rows: 1, columns: columns, epsilon: Self.epsilon)
        #expect(normalized == [Float](repeating: 0, count: columns))
        expectClose(rates, [1 / Double(Self.epsilon).squareRoot()], relative: 2e-7)
    }

    @Test(arguments: widths) func `a mean far above the deviation costs only the digits of the input`(columns: Int) {
        var random = SplitMix64(seed: 12)
        let input = random.values(columns).map { Float(1000 + $0) }
        var (normalized, rates): ([Float], [Float]) = (input, [0])
        RowKernels.normalize(
            input, normalized: &normalized, rates: &rates, rows: 1, columns: columns, epsilon: Self.epsilon)
        // The mean is rounded to 6e-5, the deviation is about 1/2.
        expectClose(normalized, Self.normalize(input.map(Double.init)), absolute: 3e-4)
    }

    @Test(arguments: widths) func `the derivative is the Jacobian and its transpose`(columns: Int) {
        let made = Case(columns: columns)
        var random = made.random
        var result = random.buffer(Self.rows * columns)
        RowKernels.normalizationDerivative(
            of: made.vectors, scaledBy: nil, normalized: made.normalized, rates: made.rates, result: &result,
            rows: Self.rows, columns: columns, adding: false)
        // Rates of narrow rows reach 20, and the result is of their size.
        let (forward, transposed) = made.products(scale: [Double](repeating: 1, count: columns))
        expectBuffer(result, forward, absolute: 3e-6)
        expectBuffer(result, transposed, absolute: 3e-6)
    }

    @Test(arguments: widths) func `a scale from an offset comes first, and a result can be added to`(columns: Int) {
        let made = Case(columns: columns)
        var random = made.random
        let parameters = random.buffer(5 + columns)
        let former = random.buffer(Self.rows * columns)
        var result = former
        RowKernels.normalizationDerivative(
            of: made.vectors, scaledBy: ParameterSlice(parameters, at: 5), normalized: made.normalized,
            rates: made.rates, result: &result, rows: Self.rows, columns: columns, adding: true)
        let (forward, _) = made.products(scale: Array(parameters.wide[5...]))
        expectBuffer(result, zip(former.wide, forward).map { $0 + $1 }, absolute: 1e-6)
    }
}
