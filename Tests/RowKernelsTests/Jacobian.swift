/// The Jacobian of a function at a point, by central differences in fp64 and one step of Richardson's extrapolation.
///
/// It gives about eleven digits if the derivatives are of the order of 1, and needs no derivative by hand.
struct Jacobian {
    /// Column j: the change of all outputs with input j.
    private let columns: [[Double]]

    init(of map: ([Double]) -> [Double], at point: [Double]) {
        let step = 1e-3
        columns = point.indices.map { index in
            func moved(_ distance: Double) -> [Double] {
                var moved = point
                moved[index] += distance
                return map(moved)
            }
            let near = zip(moved(step), moved(-step)).map { $0 - $1 }
            let far = zip(moved(2 * step), moved(-2 * step)).map { $0 - $1 }
            return zip(near, far).map { (8 * $0 - $1) / (12 * step) }
        }
    }

    /// J v.
    func times(_ vector: [Double]) -> [Double] {
        (columns.first ?? []).indices.map { row in
            zip(columns, vector).reduce(0) { $0 + $1.0[row] * $1.1 }
        }
    }

    /// Jᵀ v.
    func transposedTimes(_ vector: [Double]) -> [Double] {
        columns.map { column in zip(column, vector).reduce(0) { $0 + $1.0 * $1.1 } }
    }
}
