extension Sequence where Element: BinaryFloatingPoint {
    /// The smallest element; NaN when there is one, which `min()` may lose; nil without elements.
    public func smallest() -> Element? { extreme { $0 < $1 } }

    /// The largest element; NaN when there is one, which `max()` may lose; nil without elements.
    public func largest() -> Element? { extreme { $0 > $1 } }

    private func extreme(_ precedes: (Element, Element) -> Bool) -> Element? {
        var best: Element?
        for element in self {
            if element.isNaN { return element }
            if let known = best, !precedes(element, known) { continue }
            best = element
        }
        return best
    }
}

extension BinaryFloatingPoint {
    /// The value, or 0 where it is negative: rounding errors of what cannot be negative; NaN stays NaN, which
    /// `max(0, x)` turns into 0.
    public var clampedToZero: Self { self < 0 ? 0 : self }
}
