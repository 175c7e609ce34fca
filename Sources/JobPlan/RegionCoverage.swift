public import UnitOperations

/// The parts of tensors that blocks merge, and the rest of these tensors.
public struct RegionCoverage: Sendable {
    /// The regions of each tensor, in the order of their elements.
    private let regions: [String: [Range<Int>]]

    /// Collects regions, which do not overlap.
    public init(_ regions: some Sequence<ParameterRegion>) {
        self.regions = Dictionary(grouping: regions, by: \.tensor).mapValues { regions in
            regions.map(\.elements).sorted { $0.lowerBound < $1.lowerBound }
        }
    }

    /// Whether any region belongs to the tensor.
    public func touches(_ tensor: String) -> Bool { regions[tensor] != nil }

    /// The elements of a tensor that no region covers, as ranges in their order.
    public func rest(of tensor: TensorInventory) -> [Range<Int>] {
        var rest: [Range<Int>] = []
        var next = 0
        for region in regions[tensor.name] ?? [] {
            if region.lowerBound > next { rest.append(next..<region.lowerBound) }
            next = max(next, region.upperBound)
        }
        if next < tensor.elementCount { rest.append(next..<tensor.elementCount) }
        return rest
    }
}
