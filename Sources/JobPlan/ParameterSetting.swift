/// A merge parameter in mergekit's value grammar: a number, a gradient over the depth, or filtered values.
///
/// Source: mergekit's `evaluate_setting`. A list of numbers is interpolated linearly at t = layer / (layers − 1). Among
/// filtered values, the first whose filter is a substring of the tensor's name applies.
public indirect enum ParameterSetting: Equatable, Sendable {
    /// One value for all tensors.
    case scalar(Double)
    /// Linear interpolation over the depth of the network; at least one value.
    case gradient([Double])
    /// The first matching value applies; a filter of `nil` or `*` matches all tensors.
    case filtered([Filtered])
    /// A word, the same for all tensors.
    case word(String)
    /// For each slice of the layers its settings, from the highest level to the lowest; the first that decides holds.
    case bySlice([[ParameterSetting]])

    /// One filtered value.
    public struct Filtered: Equatable, Sendable {
        /// Substring of the tensor's name; `nil` and `*` match all.
        public var filter: String?
        /// The value where the filter matches; `nil` defers to the next level.
        public var value: ParameterSetting?

        /// Restricts a value to some tensors.
        public init(filter: String?, value: ParameterSetting?) {
            self.filter = filter
            self.value = value
        }

        /// Whether the filter takes a tensor by its name.
        func holds(for tensor: String) -> Bool { filter.map { $0 == "*" || tensor.contains($0) } ?? true }
    }

    /// The number for one tensor; `nil` if no filter matches, or for a word.
    ///
    /// - Parameters:
    ///   - tensor: The tensor's full name.
    ///   - depth: The depth of the tensor's block in the network or in its slice, from 0 (first) to 1 (last).
    ///   - slice: The position of the tensor's slice among the job's.
    /// - Returns: The value, or `nil` when the next level decides.
    public func value(tensor: String, depth: Double, slice: Int = 0) -> Double? {
        switch self {
        case .scalar(let value): value
        case .gradient(let values): Self.interpolate(values, at: depth)
        case .filtered(let cases):
            cases.first { $0.holds(for: tensor) }?.value?.value(tensor: tensor, depth: depth)
        case .word: nil
        case .bySlice(let slices):
            slices.indices.contains(slice)
                ? slices[slice].lazy.compactMap { $0.value(tensor: tensor, depth: depth) }.first : nil
        }
    }

    /// The setting of a parameter whose levels may differ from slice to slice.
    ///
    /// - Parameter slices: For each slice the settings, from the highest level to the lowest.
    /// - Returns: One setting for all slices where they agree; `nil` if no slice has any.
    static func combining(_ slices: [[ParameterSetting]]) -> ParameterSetting? {
        // Only filters may leave a value to the next level.
        let deciding = slices.map { levels in
            let first = levels.firstIndex { if case .filtered = $0 { false } else { true } }
            return first.map { Array(levels[...$0]) } ?? levels
        }
        guard let first = deciding.first, deciding.contains(where: { !$0.isEmpty }) else { return nil }
        return first.count == 1 && deciding.allSatisfy { $0 == first } ? first[0] : .bySlice(deciding)
    }

    /// All numbers of the setting, in the order of the file.
    var numbers: [Double] {
        switch self {
        case .scalar(let value): [value]
        case .gradient(let values): values
        case .filtered(let cases): cases.flatMap { $0.value?.numbers ?? [] }
        case .word: []
        case .bySlice(let slices): slices.flatMap { $0.flatMap(\.numbers) }
        }
    }

    /// Whether the value depends on the tensor: on its place in the network, or on its name.
    var dependsOnTensor: Bool {
        switch self {
        case .scalar, .word: false
        case .gradient: dependsOnPlace
        case .filtered(let cases):
            cases.first.map { $0.filter.map { $0 != "*" } ?? false || $0.value?.dependsOnTensor ?? false } ?? false
        case .bySlice(let slices): dependsOnPlace || slices.joined().contains(where: \.dependsOnTensor)
        }
    }

    /// Whether the value depends on the tensor's place in the network: on the depth, or on the slice.
    var dependsOnPlace: Bool {
        switch self {
        case .scalar, .word: false
        case .gradient(let values): values.count > 1
        case .filtered(let cases): cases.contains { $0.value?.dependsOnPlace ?? false }
        case .bySlice(let slices): slices.count > 1 || slices.joined().contains(where: \.dependsOnPlace)
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
