/// A merge parameter in mergekit's value grammar: a number, a gradient over the depth, or filtered values.
///
/// Source: mergekit's `evaluate_setting`: a list of numbers is interpolated linearly at
/// t = layer / (layers − 1); of filtered values the first whose filter is a substring of the tensor's name holds.
public indirect enum ParameterSetting: Equatable, Sendable {
    /// The same everywhere.
    case scalar(Double)
    /// Linear interpolation over the depth of the network; at least one value.
    case gradient([Double])
    /// The first match holds; a filter of `nil` or `*` matches all.
    case filtered([Filtered])

    /// One filtered value.
    public struct Filtered: Equatable, Sendable {
        /// Substring of the tensor's name; `nil` and `*` match all.
        public var filter: String?
        /// The value where the filter matches; `nil` falls to the next level.
        public var value: ParameterSetting?

        /// Restricts a value to some tensors.
        public init(filter: String?, value: ParameterSetting?) {
            self.filter = filter
            self.value = value
        }
    }

    /// The value for one tensor, or `nil` where no filter matches.
    ///
    /// - Parameters:
    ///   - tensor: The tensor's full name.
    ///   - depth: Where the tensor's block lies in the network, from 0 (first) to 1 (last).
    /// - Returns: The value, or `nil` where the setting leaves it to the next level.
    public func value(tensor: String, depth: Double) -> Double? {
        switch self {
        case .scalar(let value): value
        case .gradient(let values): Self.interpolate(values, at: depth)
        case .filtered(let cases):
            cases.first { $0.filter.map { $0 == "*" || tensor.contains($0) } ?? true }?
                .value?.value(tensor: tensor, depth: depth)
        }
    }

    /// Whether the value depends on the depth.
    var isGradient: Bool {
        switch self {
        case .scalar: false
        case .gradient(let values): values.count > 1
        case .filtered(let cases): cases.contains { $0.value?.isGradient ?? false }
        }
    }

    private static func interpolate(_ values: [Double], at depth: Double) -> Double? {
        guard let last = values.last else { return nil }
        let position = depth * Double(values.count - 1)
        let lower = Int(position.rounded(.down))
        guard lower + 1 < values.count else { return last }
        let fraction = position - Double(lower)
        return values[lower] * (1 - fraction) + values[lower + 1] * fraction
    }
}
