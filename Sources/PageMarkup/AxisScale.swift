import Glibc

/// Maps the values of an axis to coordinates.
package struct AxisScale: Equatable {
    package enum Kind: Equatable {
        case linear
        /// Equal ratios have equal distances; values must be above zero.
        case logarithmic
    }

    package let kind: Kind
    package let lowest: Double
    package let highest: Double
    /// The coordinates of the lowest and of the highest value.
    package let start: Double
    package let end: Double

    /// A scale over all finite values; `nil` without finite values, or when a logarithm would not exist.
    package init?(_ kind: Kind, over values: [Double], from start: Double, to end: Double) {
        let finite = values.filter { $0.isFinite && abs($0) < 1e15 }
        guard let least = finite.min(), let largest = finite.max() else { return nil }
        guard kind == .linear || least > 0 else { return nil }
        self.kind = kind
        (self.start, self.end) = (start, end)
        if least < largest {
            (lowest, highest) = (least, largest)
        } else if kind == .linear {
            (lowest, highest) = (least - 1, least + 1)
        } else {
            (lowest, highest) = (least / 2, least * 2)
        }
    }

    /// The same scale, extended to ticks of a linear axis.
    package func extendedToTicks(_ count: Int) -> AxisScale {
        guard kind == .linear else { return self }
        let step = Self.step(of: highest - lowest, count: count)
        let values = [(lowest / step).rounded(.down) * step, (highest / step).rounded(.up) * step]
        return AxisScale(.linear, over: values, from: start, to: end) ?? self
    }

    /// The coordinate of a value; a value outside the scale is placed at its end.
    package func position(of value: Double) -> Double {
        let value = min(max(value, lowest), highest)
        let fraction =
            switch kind {
            case .linear: (value - lowest) / (highest - lowest)
            case .logarithmic: log(value / lowest) / log(highest / lowest)
            }
        return start + (fraction.isFinite ? fraction : 0) * (end - start)
    }

    /// About `count` round values inside the scale.
    package func ticks(_ count: Int) -> [Double] {
        switch kind {
        case .linear:
            let step = Self.step(of: highest - lowest, count: count)
            let first = (lowest / step - 1e-9).rounded(.up)
            let last = highest + step * 1e-9
            // Products do not accumulate errors as sums would. The bound guards against a step that rounding loses.
            let multiples: [Double] = (0..<64).map { (first + Double($0)) * step }
            return multiples.filter { $0 <= last }
        case .logarithmic:
            return Self.decades(from: lowest, to: highest)
        }
    }

    // MARK: - Round numbers

    /// 1, 2 or 5 times a power of ten, so that about `count` steps make the span.
    private static func step(of span: Double, count: Int) -> Double {
        let raw = span / Double(max(count, 1))
        guard raw.isFinite, raw > 1e-12 else { return 1e-12 }
        var power = 1.0
        while power * 10 <= raw { power *= 10 }
        while power > raw { power /= 10 }
        return power * ([1, 2, 5].first { raw <= $0 * power * 1.0001 } ?? 10)
    }

    /// Powers of ten; when the values span few decades, also 2 and 5 times these powers.
    private static func decades(from lowest: Double, to highest: Double) -> [Double] {
        let multiples: [Double] = highest / lowest > 300 ? [1] : [1, 2, 5]
        var power = 1.0
        while power > lowest, power > 1e-15 { power /= 10 }
        while power * 10 <= lowest, power < 1e15 { power *= 10 }
        var ticks: [Double] = []
        while power <= highest, power < 1e15 {
            ticks += multiples.map { $0 * power }.filter { $0 >= lowest * 0.999 && $0 <= highest * 1.001 }
            power *= 10
        }
        return ticks
    }
}
