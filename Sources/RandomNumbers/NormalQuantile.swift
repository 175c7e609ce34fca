/// The quantile function of the normal distribution, the inverse of its cumulative probability, to about 1e-15.
///
/// Source: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution" (PPND16), for
/// probabilities that differ from 0 and 1 by at least 1e-10. It uses only additions, multiplications, divisions and
/// square roots, also for the logarithm. So a number has the same bits on every machine. C libraries do not promise
/// that for their own logarithm.
enum NormalQuantile {
    static func value(at probability: Double) -> Double {
        let centred = probability - 0.5
        guard centred.magnitude > 0.425 else {
            let r = 0.180625 - centred * centred
            return centred * ratio(of: centre, at: r)
        }
        let tail = centred < 0 ? probability : 1 - probability
        let r = (-logarithm(of: tail)).squareRoot() - 1.6
        let magnitude = ratio(of: tails, at: r)
        return centred < 0 ? -magnitude : magnitude
    }

    private typealias Polynomials = (above: InlineArray<8, Double>, below: InlineArray<8, Double>)

    private static func ratio(of polynomials: Polynomials, at r: Double) -> Double {
        var above = polynomials.above[7]
        var below = polynomials.below[7]
        for power in stride(from: 6, through: 0, by: -1) {
            above = above * r + polynomials.above[power]
            below = below * r + polynomials.below[power]
        }
        return above / below
    }

    /// ln x of a positive normal number.
    ///
    /// With x = 2^e m and m between √½ and √2, ln x = e ln 2 + 2 artanh((m − 1)/(m + 1)). The series of artanh gives
    /// the second term.
    static func logarithm(of x: Double) -> Double {
        var (exponent, significand) = (Double(x.exponent), x.significand)
        if significand > 1.4142135623730951 {
            exponent += 1
            significand /= 2
        }
        let s = (significand - 1) / (significand + 1)
        let square = s * s
        // |s| ≤ 0.172: the twelfth term is below 1e-18.
        var sum = 1 / 23.0
        for term in stride(from: 10, through: 0, by: -1) { sum = sum * square + 1 / Double(2 * term + 1) }
        return exponent * 0.6931471805599453 + 2 * s * sum
    }

    private static let centre: Polynomials = (
        above: [
            3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
            45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
        ],
        below: [
            1, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
            39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
        ]
    )

    private static let tails: Polynomials = (
        above: [
            1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
            1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4,
        ],
        below: [
            1, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
            0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
        ]
    )
}
