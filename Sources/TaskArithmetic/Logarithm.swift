/// The natural logarithm in fp64, to a few units in the last place.
///
/// As ``Trigonometry``, it has the same bits on every machine.
enum Logarithm {
    /// ln x of a positive, finite number.
    static func natural(_ number: Double) -> Double {
        var exponent = Double(number.exponent)
        var significand = number.significand
        if significand > 2.0.squareRoot() {
            significand /= 2
            exponent += 1
        }
        // ln m = 2 artanh s with |s| < 0.172, so the last term is below 1e-18.
        let part = (significand - 1) / (significand + 1)
        let square = part * part
        var series = 0.0
        for order in stride(from: 21.0, to: 0, by: -2) { series = 1 / order + square * series }
        // ln 2 in two parts; the product with the first one is exact.
        return exponent * 0x1.62e42feep-1 + (exponent * 0x1.a39ef35793c76p-33 + 2 * part * series)
    }
}
