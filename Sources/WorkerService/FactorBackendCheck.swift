import KroneckerFactors
import LinearAlgebra

extension FactorBackend {
    /// Computes small factors with known elements, so that broken kernels or a broken device fail at the start of a
    /// worker and not in a job.
    ///
    /// - Throws: ``WrongFactorBackend`` for the first wrong element, or what the backend throws.
    func selfTest() throws {
        // Larger than one register tile of most kernels in both directions, and not a multiple of one.
        let order = 67
        // Row i has ones from column i on. So an element of rowsᵀ·rows is min(i, j) + 1, also beside the appended one:
        // exact in every precision.
        var rows = try Matrix<Float>(rows: order, columns: order)
        for row in 0..<order { for column in row..<order { rows[row, column] = 1 } }
        var accumulator = try makeAccumulator()
        for isPartial in [false, true] {
            try accumulator.begin(FactorShape(columnCount: order, appendsOne: true))
            try accumulator.add(rows: 0..<40, of: rows)
            let paused = try accumulator.pause()
            try accumulator.resume(paused)
            try accumulator.add(rows: 40..<order, of: rows)
            if isPartial {
                let sums = try accumulator.finishPartial()
                try check(sums.dimension, order + 1) { sums[$0, $1] }
            } else {
                let factor = try accumulator.finish(divisor: 1)
                try check(factor.dimension, order + 1) { Double(factor[$0, $1]) }
            }
        }
    }

    private func check(_ dimension: Int, _ expected: Int, _ element: (Int, Int) -> Double) throws(WrongFactorBackend) {
        guard dimension == expected else {
            throw WrongFactorBackend(
                name: name, quantity: "the dimension of a known factor", found: Double(dimension),
                expected: Double(expected))
        }
        for row in 0..<dimension {
            for column in 0...row {
                // The appended ones are the sum of a column, and at last the number of rows.
                let count = Double(min(column + 1, dimension - 1))
                let found = element(row, column)
                guard found == count else {
                    throw WrongFactorBackend(
                        name: name, quantity: "element (\(row), \(column)) of a known factor", found: found,
                        expected: count)
                }
            }
        }
    }
}

/// A backend that computes wrong numbers on this machine.
struct WrongFactorBackend: Error, CustomStringConvertible {
    let name: String
    let quantity: String
    let found: Double
    let expected: Double

    var description: String {
        "the backend \(name) gave \(found) as \(quantity); expected \(expected). Set backend to another one, or repair the "
            + "library and the device that it uses."
    }
}
