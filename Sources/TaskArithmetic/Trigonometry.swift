/// Sine, cosine and arc cosine in fp64, to a few units in the last place.
///
/// They use only additions, multiplications, divisions and square roots, so a result has the same bits on every
/// machine. C libraries do not promise this.
enum Trigonometry {
    /// Sine and cosine of an angle.
    static func sineAndCosine(_ angle: Double) -> (sine: Double, cosine: Double) {
        let turns = (angle / (2 * .pi)).rounded()
        let part = (angle - turns * 2 * .pi) / 8
        // Taylor's series of the sine and of 1 − cosine; |part| < 0.4, so the last terms are below 1e-18.
        let square = part * part
        var (sine, versine) = (0.0, 0.0)
        for order in stride(from: 17.0, to: 1, by: -2) {
            sine = (1 + sine) * -square / (order * (order - 1))
            versine = (1 + versine) * -square / ((order + 1) * order)
        }
        sine = part * (1 + sine)
        versine = square / 2 * (1 + versine)
        // Three doublings of the angle; 1 − cos 2x = 2 sin² x loses no digits.
        for _ in 0..<3 { (sine, versine) = (2 * sine * (1 - versine), 2 * sine * sine) }
        return (sine, 1 - versine)
    }

    /// The angle from 0 to π of a cosine from −1 to 1.
    static func arcCosine(_ cosine: Double) -> Double {
        let sine = ((1 - cosine) * (1 + cosine)).squareRoot()
        if cosine >= sine { return arcTangent(sine / cosine) }
        if -cosine >= sine { return .pi - arcTangent(sine / -cosine) }
        return .pi / 2 - arcTangent(cosine / sine)
    }

    /// The arc tangent of a number from −1 to 1.
    private static func arcTangent(_ tangent: Double) -> Double {
        // atan x = 2 atan (x / (1 + √(1 + x²))), three times; then the series, whose last term is below 1e-18.
        var reduced = tangent
        for _ in 0..<3 { reduced /= 1 + (1 + reduced * reduced).squareRoot() }
        let square = reduced * reduced
        var series = 0.0
        for order in stride(from: 19.0, to: 0, by: -2) { series = 1 / order - square * series }
        return 8 * reduced * series
    }
}
