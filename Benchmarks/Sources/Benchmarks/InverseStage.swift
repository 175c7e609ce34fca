import CPlainBLAS
import KroneckerFactors
import LinearAlgebra

/// Measures the damped inverse of a packed factor with its health row, beside plain `dpotrf` + `dpotri`.
struct InverseStage {
    let dimensions: [Int]

    func measure() throws {
        print("\ninverse, one thread, fp64: packed factor → packed damped inverse, against dpotrf + dpotri")
        for dimension in dimensions { try measure(dimension) }
    }

    private func measure(_ dimension: Int) throws {
        var rows = try Matrix<Float>(rows: 2 * dimension, columns: dimension)
        rows.withMutableSpan { span in
            var state: UInt64 = 42
            for index in span.indices {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                span[index] = Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
            }
        }
        var workspace = try FactorWorkspace()
        var sum = try FactorAccumulation(columnCount: dimension)
        try sum.add(rows: 0..<2 * dimension, of: rows, workspace: &workspace)
        let factor = try sum.finish(divisor: Double(2 * dimension))
        let square = try factor.unpackedLower().elements
        var copy = square
        var order = Int32(dimension)
        let (plain, ours) = try least(5) {
            // The copy stands for the unpacking, which a plain program needs too.
            copy = square
            var info: Int32 = 0
            for index in 0..<dimension { copy[index * (dimension + 1)] += 1e-3 }
            dpotrf_("U", &order, &copy, &order, &info)
            dpotri_("U", &order, &copy, &order, &info)
        } _: {
            _ = try DampedInverse(of: factor, damping: 1e-3)
        }
        print("  n = \(dimension): plain \(fixed(plain, 3)) s, ours \(fixed(ours, 3)) s, ratio \(fixed(plain / ours))")
    }
}
