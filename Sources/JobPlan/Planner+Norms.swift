import UnitOperations

/// The norms of task vectors where no task has curvature.
///
/// With those of the blocks they say which share of a task vector the interference knows nothing of.
///
/// Source: DESIGN section 2.3.
extension Planner {
    /// The most elements that are in memory of a model.
    private static let partElementsMax = 4 << 20
    /// The most elements of one unit, which reads many small tensors or part of a large one.
    private static let unitElementsMax = 64 << 20

    /// Plans the norms, if the report has the interference.
    mutating func planNorms() {
        guard measuresInterference else { return }
        let vectors = spec.mergedTasks.compactMap { inventory.checkpoints[$0.name] }
        var parts: [ParameterRegion] = []
        var elementCount = 0
        for part in partsWithoutCurvature {
            if elementCount > 0, elementCount + part.elements.elementCount > Self.unitElementsMax {
                addNorms(parts, of: vectors)
                (parts, elementCount) = ([], 0)
            }
            parts.append(part)
            elementCount += part.elements.elementCount
        }
        addNorms(parts, of: vectors)
    }

    private mutating func addNorms(_ parts: [ParameterRegion], of vectors: [CheckpointInventory]) {
        let parts = parts.filter { part in
            source(part, in: inventory.base) != nil && vectors.allSatisfy { source(part, in: $0) != nil }
        }
        guard let first = parts.first?.tensor else { return }
        let operation = NormOperation(
            base: parts.compactMap { source($0, in: inventory.base) },
            checkpoints: vectors.map { vector in parts.compactMap { source($0, in: vector) } })
        let count = Set(parts.map(\.tensor)).count
        let more = count > 1 ? " and \(count - 1) more tensors" : ""
        let unit = add(
            operation, title: "norms in \"\(first)\"\(more) without curvature", about: first, block: nil)
        // A large tensor has several units.
        let place = products[first, .norms] == nil ? first : "\(first)[\(parts[0].elements.lowerBound):]"
        products[place, .norms] = UnitOutput(unit)
    }

    /// The parts of merged tensors outside the blocks that a task has curvature in, by tensor.
    private var partsWithoutCurvature: [ParameterRegion] {
        let covered = blocks.filter { block in
            spec.curvedTasks.contains { products[block.name, .interference(with: $0.name)] != nil }
        }
        let coverage = RegionCoverage(inventory.base.withCopies(covered.flatMap(\.regions)))
        return mergedTensors.flatMap { tensor in
            let rest =
                coverage.touches(tensor.name) ? coverage.rest(of: tensor) : [ElementRuns(0..<tensor.elementCount)]
            return rest.flatMap { Self.split($0) }.map { ParameterRegion(tensor: tensor.name, elements: $0) }
        }
    }

    /// Parts that are small enough for memory; a run alone may be larger if there are gaps between runs.
    private static func split(_ elements: ElementRuns) -> [ElementRuns] {
        if elements.isContiguous {
            let (start, end) = (elements.lowerBound, elements.upperBound)
            return stride(from: start, to: end, by: partElementsMax).map {
                ElementRuns($0..<min($0 + partElementsMax, end))
            }
        }
        let runs = max(1, partElementsMax / elements.length)
        return stride(from: 0, to: elements.count, by: runs).map { first in
            ElementRuns(
                from: elements.lowerBound + first * elements.distance, length: elements.length,
                distance: elements.distance, count: min(runs, elements.count - first))
        }
    }
}
