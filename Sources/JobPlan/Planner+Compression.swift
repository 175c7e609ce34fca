import Identifiers
import LinearAlgebra
import UnitOperations

/// The compressed forms of factors and regularizers for their files.
///
/// Every other unit reads the exact matrices. Source: DESIGN section 3.
extension Planner {
    /// Plans a unit for each matrix of a factor or regularizer file, unless the job compresses none.
    ///
    /// Diagonals are small, and stay as they are.
    mutating func planCompression() {
        guard let compression = spec.curvature.compression else { return }
        if spec.outputs.contains(.factors) {
            for task in spec.curvedTasks.map(\.name) {
                planCompression(compression, of: "of task \"\(task)\"", for: { .factor($0, of: task) }) {
                    .compressedFactor($0, of: task)
                }
            }
        }
        guard spec.outputs.contains(.regularizer) else { return }
        var seen: Set<RegularizerSet> = []
        for target in targets {
            for set in spec.regularizerSets(of: target) where seen.insert(set).inserted {
                planCompression(
                    compression, of: "of the regularizer of \(set.words)", isStrengthened: true, for: set.purpose,
                    as: set.compressedPurpose)
            }
        }
    }

    private mutating func planCompression(
        _ compression: CompressionSpec, of owner: String, isStrengthened: Bool = false,
        for purpose: (FactorSide) -> UnitPurpose, as compressed: (FactorSide) -> UnitPurpose
    ) {
        for (position, block) in blocks.enumerated() {
            for (side, shape) in block.factors where !shape.isDiagonal {
                guard let matrix = products[block: position, purpose(side)] else { continue }
                let name = FactorName(owner: block.name, side: side).description
                // A group's strength belongs to B or F: a layer's penalty has it once.
                let hasStrength = isStrengthened && side != .input
                let operation = CompressOperation(
                    dimension: shape.dimension, form: compression.form,
                    strength: hasStrength ? spec.curvature.strength(of: block.name) : 1, repairs: compression.repairs)
                products[block: position, compressed(side)] = UnitOutput(
                    add(
                        operation, reading: [matrix], title: "compression of \"\(name)\" \(owner)", about: name,
                        block: block.name))
            }
        }
    }
}

extension RegularizerSet {
    /// What the set belongs to, for titles.
    fileprivate var words: String {
        switch self {
        case .term(0, let target): "target \"\(target)\""
        case .term(let term, let target): "target \"\(target)\", Kronecker product \(term + 1)"
        case .factors(let task): "task \"\(task)\""
        }
    }
}
