/// The way between two vectors on the sphere, or a straight line where they are nearly parallel.
struct SphericalPath {
    /// The factors of both vectors; none where the way is straight.
    private let factors: (first: Double, second: Double)?
    private let share: Double

    /// Finds the factors.
    ///
    /// - Parameters:
    ///   - cosine: The cosine of the angle between the vectors.
    ///   - share: t, 0 at the first vector and 1 at the second.
    ///   - leastSine: Where the angle's sine is smaller, the way is straight.
    init(cosine: Double, share: Double, leastSine: Double) {
        self.share = share
        let angle = Trigonometry.arcCosine(min(1, max(-1, cosine)))
        let sine = Trigonometry.sineAndCosine(angle).sine
        guard sine >= leastSine else {
            factors = nil
            return
        }
        factors = (
            Trigonometry.sineAndCosine((1 - share) * angle).sine / sine,
            Trigonometry.sineAndCosine(share * angle).sine / sine
        )
    }

    /// The point as a combination of both vectors.
    var combination: CombinationFactors {
        guard let factors else { return CombinationFactors(factors: [1 - share, share], startsAtFirst: true) }
        return CombinationFactors(factors: [factors.first, factors.second])
    }

    /// The element of the point at the share.
    func point(_ first: Double, _ second: Double) -> Double {
        // The straight form keeps equal values exactly.
        guard let factors else { return first == second ? first : first + share * (second - first) }
        return factors.first * first + factors.second * second
    }
}
