import KroneckerFactors
import LinearAlgebra
import Testing

/// Captures whose squares vanish in fp32, and sums beyond fp32.
struct FaintCaptureTests {
    private func factor(_ values: [Float], columns: Int, divisor: Double = 1, appendsOne: Bool = false) throws -> Double
    {
        var accumulation = try FactorAccumulation(columnCount: columns, appendsOne: appendsOne)
        var workspace = try FactorWorkspace()
        let rows = values.count / columns
        let matrix = try Matrix<Float>(rows: rows, columns: columns, elements: values)
        try accumulation.add(rows: 0..<rows, of: matrix, workspace: &workspace)
        return try accumulation.finish(divisor: divisor).trace
    }

    @Test(arguments: [Float(1e-25), 1e-22, 1e-30], [true, false])
    func `rows that vanish are an error that names their scale`(magnitude: Float, appendsOne: Bool) throws {
        let error = #expect(throws: KroneckerFactorsError.self) {
            try factor([magnitude, -magnitude / 2, 0, magnitude / 4], columns: 2, appendsOne: appendsOne)
        }
        guard case .squaresVanish(let rows, let largest) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(rows == 2)
        #expect(largest == Double(magnitude))
    }

    @Test func `a division that leaves nothing is the same error`() {
        #expect(throws: KroneckerFactorsError.self) { try factor([1e-18, 1e-18], columns: 2, divisor: 1e9) }
    }

    @Test func `zeros are no gradients, which is no error`() throws {
        #expect(try factor([0, 0, 0, 0], columns: 2) == 0)
    }

    @Test func `a faint column beside a strong one is none`() throws {
        #expect(try factor([1, 1e-25], columns: 2) == 1)
    }

    @Test func `faint rows before strong ones are none`() throws {
        var accumulation = try FactorAccumulation(columnCount: 1)
        var workspace = try FactorWorkspace()
        for value in [Float(1e-25), 2] {
            let matrix = try Matrix<Float>(rows: 1, columns: 1, elements: [value])
            try accumulation.add(rows: 0..<1, of: matrix, workspace: &workspace)
        }
        #expect(try accumulation.finish(divisor: 1).trace == 4)
    }

    @Test func `a sum over tasks beyond fp32 is an error with the row`() throws {
        var totals = try RegularizerTotals(of: .full(2), firstElement: 0, count: 3)
        let factor: [Float] = [1, 0, 3e38]
        try totals.add(factor.span, times: 1)
        try totals.add(factor.span, times: 1)
        var written = [Float](repeating: 0, count: 3)
        #expect(throws: KroneckerFactorsError.exceedsStorage(row: 1)) {
            var span = written.mutableSpan
            try totals.write(scale: 1, into: &span)
        }
    }

    @Test func `a product that is NaN leaves no task out`() throws {
        let products = try #require(FactorInnerProducts(taskCount: 2, products: [1, .nan, .nan, 1]))
        #expect(throws: KroneckerFactorsError.productNotFinite(first: 0, second: 1)) {
            try OptimalAccumulation(gradients: products, inputs: products, lambdas: [0.5, 0.5], rank: 1, scale: .mean)
        }
        #expect(AccumulationError.relative(gradients: products, inputs: products, lambdas: [0.5, 0.5]).isNaN)
    }
}
