/// What the sums over rows are divided by.
///
/// Source: DESIGN section 2.1 (expand and reduce after Eschenhagen et al. 2023; `tak` as the paper's own code).
struct FactorDivisor {
    /// N.
    let samples: Int
    /// R.
    let positions: Int
    /// M, or 1 where probes are basis vectors and are summed.
    let probes: Int
    /// The convention.
    let normalization: Normalization

    /// Of A.
    var input: Double {
        normalization == .reduce ? Double(samples) : Double(samples) * Double(positions)
    }

    /// Of B.
    var gradient: Double {
        let expected = Double(samples) * Double(probes)
        return normalization == .tak ? expected * Double(positions) : expected
    }

    /// Of F.
    var full: Double { Double(samples) * Double(probes) }
}
