public import UnitOperations

/// The parts of tensors that blocks merge, and the rest of these tensors.
public struct RegionCoverage: Sendable {
    private let regions: [String: [ElementRuns]]

    /// Collects regions, which do not overlap.
    public init(_ regions: some Sequence<ParameterRegion>) {
        self.regions = Dictionary(grouping: regions, by: \.tensor).mapValues { $0.map(\.elements) }
    }

    /// Whether any region belongs to the tensor.
    public func touches(_ tensor: String) -> Bool { regions[tensor] != nil }

    /// The elements of a tensor that no region covers, in the order of their first elements.
    ///
    /// Gaps of equal length at equal distances are one part: the other columns of a matrix.
    public func rest(of tensor: TensorInventory) -> [ElementRuns] {
        // The columns of a large matrix are many ranges, and all columns together are one.
        let groups = ElementRuns.groups(of: regions[tensor.name] ?? [])
        let covered = groups.map(\.elements).flatMap(\.ranges).sorted { $0.lowerBound < $1.lowerBound }
        var gaps: [Range<Int>] = []
        var next = 0
        for range in covered {
            if range.lowerBound > next { gaps.append(next..<range.lowerBound) }
            next = max(next, range.upperBound)
        }
        if next < tensor.elementCount { gaps.append(next..<tensor.elementCount) }
        return Self.runs(of: gaps)
    }

    private static func runs(of gaps: [Range<Int>]) -> [ElementRuns] {
        var runs: [ElementRuns] = []
        var first = 0
        while first < gaps.count {
            var end = first + 1
            let length = gaps[first].count
            let distance = end < gaps.count ? gaps[end].lowerBound - gaps[first].lowerBound : length
            while end < gaps.count, gaps[end].count == length,
                gaps[end].lowerBound - gaps[end - 1].lowerBound == distance
            { end += 1 }
            runs.append(
                ElementRuns(from: gaps[first].lowerBound, length: length, distance: distance, count: end - first))
            first = end
        }
        return runs
    }
}
