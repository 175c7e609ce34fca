import Identifiers
import LinearAlgebra
import UnitOperations

/// Joins captured layers that use one weight under names that are tied to each other: an embedding and its head.
///
/// Source: DESIGN section 2.1.
struct SharedWeights {
    /// The blocks, in which the uses of a weight are one.
    private(set) var blocks: [CurvatureBlock]
    private(set) var problems: [(names: [String], sentence: String)] = []

    /// Joins blocks.
    ///
    /// - Parameters:
    ///   - blocks: The layers and parameters, each as it was captured.
    ///   - weightNames: The name of each layer's weight in its own module.
    init(_ blocks: [CurvatureBlock], weightNames: [String: String]) {
        self.blocks = []
        var groups: [ParameterRegion: [CurvatureBlock]] = [:]
        for block in blocks {
            guard case .linear = block.kind, let region = block.regions.first else {
                self.blocks.append(block)
                continue
            }
            groups[ParameterRegion(tensor: region.tensor, elements: region.elements), default: []].append(block)
        }
        for (region, group) in groups {
            let names = group.compactMap { weightNames[$0.name] }
            // A weight that was captured twice under one name is an error that the search for overlaps reports.
            guard group.count > 1, Set(names).count == group.count else {
                self.blocks += group
                continue
            }
            if let joined = joined(group, of: region, weightNames) { self.blocks.append(joined) }
        }
        self.blocks.sort { $0.name < $1.name }
        problems.sort { $0.names.lexicographicallyPrecedes($1.names) }
    }

    /// One block for all uses of a weight; it has the name of the use that the stored tensor belongs to.
    private mutating func joined(
        _ group: [CurvatureBlock], of region: ParameterRegion, _ weightNames: [String: String]
    ) -> CurvatureBlock? {
        let sorted = group.sorted {
            (weightNames[$0.name] == region.tensor ? 0 : 1, $0.name)
                < (weightNames[$1.name] == region.tensor ? 0 : 1, $1.name)
        }
        let biased = sorted.filter { $0.regions.count > 1 }
        guard biased.isEmpty else {
            problems.append(
                (
                    sorted.map(\.name),
                    "the layers \(sorted.map(\.name).quotedList) use one weight, \"\(region.tensor)\", and "
                        + "\(biased.map(\.name).quotedList) \(biased.count == 1 ? "has" : "have") a bias, so their "
                        + "factors have different forms and cannot be summed. Leave one of them out with \"layers\"."
                ))
            return nil
        }
        var block = sorted[0]
        let layout = block.regions[0].layout
        var diagonals: DiagonalSides = []
        for member in sorted {
            let isTransposed = member.regions[0].layout != layout
            block.uses.append(LayerUse(name: member.name, isTransposed: isTransposed))
            diagonals.formUnion(isTransposed ? member.kind.diagonals.transposed : member.kind.diagonals)
        }
        block.kind.diagonals = diagonals
        return block
    }
}
