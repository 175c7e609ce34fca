extension Sequence where Element: BinaryFloatingPoint {
    /// The smallest element; NaN if any element is NaN, which `min()` may lose; nil without elements.
    public func smallest() -> Element? { extreme { $0 < $1 } }

    /// The largest element; NaN if any element is NaN, which `max()` may lose; nil without elements.
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
    /// The value, or 0 for a negative value that is a rounding error of a non-negative one.
    ///
    /// NaN stays NaN, unlike with `max(0, x)`.
    public var clampedToZero: Self { self < 0 ? 0 : self }
}
