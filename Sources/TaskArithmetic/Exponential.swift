/// The exponential function in fp64, to a few units in the last place.
///
/// As ``Logarithm``, it has the same bits on every machine.
enum Exponential {
    /// e^x of a number that is not above 0; 0 where the result would be below 2⁻¹⁰²¹.
    static func natural(_ number: Double) -> Double {
        guard number > -707 else { return 0 }
        let power = (number * 0x1.71547652b82fep0).rounded()
        // ln 2 in two parts; the product with the first one is exact.
        let part = (number - power * 0x1.62e42feep-1) - power * 0x1.a39ef35793c76p-33
        // |part| < 0.347, so the last term is below 1e-18.
        var series = 1.0
        for order in stride(from: 14.0, through: 1, by: -1) { series = 1 + part / order * series }
        return Double(sign: .plus, exponent: Int(power), significand: series)
    }
}
