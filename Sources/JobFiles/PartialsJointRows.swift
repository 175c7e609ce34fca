import Identifiers
import LinearAlgebra

/// The check of a file's joint rows against its sums and counts.
///
/// They are the rows of the file's own samples, as a factor file of these samples would have them.
/// Source: DESIGN section 3.
struct PartialsJointRows {
    private let stated: JointRowsMetadata
    private let metadata: PartialsMetadata
    private let jointEntries: [JointEntry]
    private let shapes: [String: [Int]]
    /// The sums of layers and parameters that have rows in the file, in their order.
    private let sums: [PartialsHeader.Entry]
    private let layers: Set<String>
    private let parameters: Set<String>

    init(
        _ entries: [PartialsHeader.Entry], _ jointEntries: [JointEntry], _ stated: JointRowsMetadata,
        _ metadata: PartialsMetadata
    ) {
        (self.stated, self.metadata, self.jointEntries) = (stated, metadata, jointEntries)
        shapes = Dictionary(jointEntries.map { ($0.name.description, $0.shape) }) { first, _ in first }
        // Where positions are pooled, a layer that no sample of the file reached has rows of zero.
        let pooled = stated.buckets?.layers ?? []
        sums = entries.filter {
            $0.name.side == .full || metadata.rowCounts?[$0.name.owner] != 0 || pooled.contains($0.name.owner)
        }
        layers = Set(sums.lazy.filter { $0.name.side != .full }.map(\.name.owner))
        parameters = Set(sums.lazy.filter { $0.name.side == .full }.map(\.name.owner))
    }

    /// What is wrong; only flaws of one kind, because others would follow from them.
    var flaws: [PartialsFlaw] {
        guard metadata.normalization != "reduce" else {
            return [
                .jointRows(
                    "has joint rows under the normalization \"reduce\", which sums the rows of a sample before; expected "
                        + "\"expand\"")
            ]
        }
        let contradictions = JointRowsContradictions(
            jointEntries, stated, layers: layers, parameters: parameters,
            isCounted: { OwnerCounts.rowsPerSample(of: $0, metadata.rowCounts, metadata.sampleCounts) != nil }
        ).kinds.map(\.[0].words)
        for found in [contradictions, shapeProblems, countProblems] where !found.isEmpty {
            return found.map(PartialsFlaw.jointRows)
        }
        return []
    }

    // MARK: - Shapes

    private var shapeProblems: [String] {
        var problems = sums.compactMap { sum -> String? in
            let name = JointRowNames(sum.name)
            let positions = shapes[name.rows].flatMap { $0.count == 3 ? $0[1] : nil }
            guard !sum.shape.isDiagonal else {
                return "\"\(sum.name.name)\" is a diagonal, which joint rows do not cover yet"
            }
            let isParameter = sum.name.side == .full
            let words = "[rows, \(isParameter ? "" : "positions, ")\(sum.shape.dimension)]"
            return problem(
                name.rows, words,
                shapes[name.rows]?.count == (isParameter ? 2 : 3) && shapes[name.rows]?.last == sum.shape.dimension)
                ?? problem(
                    name.squares, "[\(isParameter ? 1 : positions ?? 0)]",
                    shapes[name.squares] == [isParameter ? 1 : positions ?? 0])
        }
        if !parameters.isEmpty {
            let rank = stated.ranks.inputs
            problems += [
                problem("input_rows", "[\(rank)]", shapes["input_rows"] == [rank]),
                problem("input_squares", "[1]", shapes["input_squares"] == [1]),
            ].compactMap(\.self)
        }
        return problems
    }

    private func problem(_ name: String, _ expected: String, _ fits: Bool) -> String? {
        guard let shape = shapes[name] else {
            return "lacks the joint rows' tensor \"\(name)\"; expected the shape \(expected)"
        }
        return fits ? nil : "tensor \"\(name)\" has the shape \(shape); expected \(expected)"
    }

    // MARK: - Counts

    /// Whether any number of rows became as many positions.
    private func isPooled(_ layer: String) -> Bool { stated.buckets?.layers.contains(layer) ?? false }

    /// Joint rows are whole samples: all layers and parameters have the same, each with equally many rows.
    private var countProblems: [String] {
        guard let first = sums.first?.name.owner, let samples = metadata.sampleCounts[first] else { return [] }
        return sums.compactMap { sum in
            let owner = sum.name.owner
            let own = metadata.sampleCounts[owner] ?? 0
            guard own == samples else {
                return "\"\(owner)\" has \(own) samples, but \"\(first)\" \(samples); joint rows are of the same "
                    + "samples in all layers and parameters"
            }
            guard sum.name.side == .input, !isPooled(owner), let rows = metadata.rowCounts?[owner],
                let positions = shapes[JointRowNames(sum.name).rows]?[1]
            else { return nil }
            guard samples.saturatingProduct(positions) != rows else { return nil }
            return "layer \"\(owner)\" has \(rows) rows of \(samples) samples, but joint rows of \(positions) "
                + "positions; expected equally many rows of each sample"
        }
    }
}

/// The names of the joint rows that belong to a sum.
struct JointRowNames {
    /// The tensor of the rows.
    let rows: String
    /// The tensor of their mean squares.
    let squares: String

    init(_ name: CurvatureTensorName) {
        let word = name.side == .input ? "input" : "gradient"
        (rows, squares) = ("\(name.owner).\(word)_rows", "\(name.owner).\(word)_squares")
    }
}
