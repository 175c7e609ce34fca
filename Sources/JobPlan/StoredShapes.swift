import Identifiers
import LinearAlgebra
import UnitOperations

/// The shapes of stored factors or sums, to be checked against the blocks of a job.
struct StoredShapes {
    /// What is stored: "factor" or "sum".
    let noun: String
    /// How it is made, as the first word of a sentence.
    let verb: String
    let place: String
    /// The shape of what is stored; nil where nothing is.
    let shape: (FactorName) -> SymmetricShape?

    /// Names what a block needs and is missing, or has another shape.
    func check(_ block: CurvatureBlock, _ faults: inout SharedFaults) {
        for (side, needed) in block.factors {
            let name = FactorName(owner: block.name, side: side)
            guard let stored = shape(name) else {
                faults.append(
                    "the \(noun) \"\(name)\", which other tasks have, is missing. \(verb) it too, or leave the layer "
                        + "out with \"layers\".",
                    about: name.description, of: "\(noun)s", at: place)
                continue
            }
            guard stored != needed else { continue }
            faults.append(
                "the \(noun) \"\(name)\" is \(stored.words); the base's layer needs \(needed.words).",
                about: name.description, of: "\(noun)s", at: place,
                advice: block.advice(about: side, of: stored, needing: needed))
        }
    }
}

extension SymmetricShape {
    /// The shape of the tensor that holds such a factor, in words.
    var words: String { isDiagonal ? "a diagonal [\(dimension)]" : "[\(dimension), \(dimension)]" }

    /// What to do about a factor of the right dimension that is whole where the diagonal is needed.
    func remedy(needing needed: SymmetricShape) -> String {
        guard needed.isDiagonal, !isDiagonal, dimension == needed.dimension else { return "" }
        return " The job, another task or another use of the weight has only the diagonal: store the diagonal of this "
            + "one too, and name it under \"diagonal\" in the metadata."
    }
}
