import Identifiers
import LinearAlgebra
import NameMatching
import UnitOperations

/// The factors of which only the diagonal is made: what the job and the tasks' files state.
///
/// One statement is enough, because the factors of all tasks are summed. A of a layer whose input rows are indices is a
/// diagonal without a statement.
struct DiagonalFactors {
    private let patterns: [(written: Located<String>, glob: Glob)]
    private var stated: Set<FactorName> = []
    private var indexed: Set<String> = []

    /// Collects the statements of a job.
    init(spec: JobSpec, inventory: JobInventory) {
        patterns = spec.curvature.diagonals.map { ($0, Glob($0.value)) }
        for captures in inventory.captures.values {
            stated.formUnion(captures.diagonals)
            for (name, layer) in captures.layers where layer.input.indexType != nil { indexed.insert(name.rawValue) }
        }
        for set in inventory.factorSets.values { stated.formUnion(set.factors.filter(\.value.shape.isDiagonal).keys) }
        for set in inventory.partials.values { stated.formUnion(set.sums.filter(\.value.shape.isDiagonal).keys) }
    }

    /// Whether the input rows of a layer are indices in any task: it is an embedding, stored as `[d_in, d_out]`.
    func hasIndices(_ layer: String) -> Bool { indexed.contains(layer) }

    /// The diagonal sides of a layer.
    func sides(of layer: String) -> DiagonalSides {
        var sides: DiagonalSides = hasIndices(layer) ? .input : []
        for side in [FactorSide.input, .gradient] {
            let name = FactorName(owner: layer, side: side)
            let matches = { patterns.contains { $0.glob.matches(name.description) } }
            if stated.contains(name) || matches() { sides.insert(DiagonalSides(side)) }
        }
        return sides
    }

    /// Problems of patterns that match no factor.
    func problems(with layers: some Collection<String>) -> [JobProblem] {
        guard !patterns.isEmpty else { return [] }
        let names = layers.flatMap { layer in
            [FactorSide.input, .gradient].map { FactorName(owner: layer, side: $0).description }
        }.sorted()
        return patterns.enumerated().compactMap { position, pattern in
            guard !names.contains(where: pattern.glob.matches) else { return nil }
            let text = pattern.written.value
            let meant = position < JobFileLimits.suggestions ? suggestion(for: text, among: names) : ""
            return JobProblem(
                at: pattern.written.location,
                "the pattern \"\(text.excerpt)\" of \"diagonal\" matches none of the \(names.count) factors A and B of "
                    + "layers, such as \"\(names.first ?? "layer.B")\".\(meant)")
        }
    }
}
