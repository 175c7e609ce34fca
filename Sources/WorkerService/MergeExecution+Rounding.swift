import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// Singular values that are no larger than what rounding makes that the models were stored with.
extension MergeExecution {
    /// Counts the raised singular values that rounding of the models' stored elements may have made.
    ///
    /// Rounding adds to each element a number of the variance u²/12, u the distance of neighbouring numbers, and these
    /// numbers are taken as independent. A matrix of them has the largest singular value σ(√m + √n) (Marchenko & Pastur
    /// 1967; Bai & Silverstein 2010, section 5.2). The base's elements stand for those of the models.
    ///
    /// - Parameters:
    ///   - raised: The values.
    ///   - base: θ_0.
    /// - Returns: The number, and the share of the largest value; `nil` without raised values or models
    ///   that rounding changed.
    func rounding(among raised: [Double], _ base: borrowing Matrix<Double>) -> [Double]? {
        guard let largest = raised.max(), largest > 0 else { return nil }
        var variance = 0.0
        for task in operation.tasks {
            guard let source = task.parameters.first, source.update == nil else { continue }
            variance += task.weight * task.weight * Self.variance(of: base, source.elementType)
        }
        guard variance > 0 else { return nil }
        let edges = Double(base.rowCount).squareRoot() + Double(base.columnCount).squareRoot()
        let level = variance.squareRoot() * edges
        return [Double(raised.count { $0 <= level }), level / largest]
    }

    /// The digits behind the first one, and the distance of the numbers next to 0; `nil` for the type of the merge.
    private static func precision(of type: ElementType) -> (digits: Int, least: Double)? {
        switch type {
        case .bf16: (7, 0x1p-133)
        case .f16: (10, 0x1p-24)
        case .f32: (23, 0x1p-149)
        case .f64: nil
        }
    }

    /// The mean of u²/12 over a matrix's elements.
    private static func variance(of matrix: borrowing Matrix<Double>, _ type: ElementType) -> Double {
        guard let (digits, least) = precision(of: type) else { return 0 }
        return matrix.withSpan { values in
            var sum = 0.0
            for index in values.indices where values[index] != 0 {
                let unit = max(least, values[index].ulp * Double(sign: .plus, exponent: 52 - digits, significand: 1))
                sum += unit * unit / 12
            }
            return values.isEmpty ? 0 : sum / Double(values.count)
        }
    }
}
