import Identifiers
import LinearAlgebra
import UnitOperations

/// Advice about curvature that was captured of a whole grouped convolution.
///
/// Each of its groups sees its own channels only, so the whole is no linear layer. The mistake shows as an input side
/// of several times the width.
extension CurvatureBlock {
    /// Names the layers of the groups, if the input side is as wide as several.
    ///
    /// - Parameters:
    ///   - side: The side that was compared.
    ///   - excess: By how much its dimension in the curvature exceeds that of the base.
    ///   - otherwise: What to do if the input side is not.
    /// - Returns: A sentence after a space.
    func advice(about side: FactorSide, exceedingBy excess: Int, otherwise: String) -> String {
        let dimensions = Dictionary(factors, uniquingKeysWith: { first, _ in first })
        guard side == .input, let expected = dimensions[.input]?.dimension,
            let outputs = dimensions[.gradient]?.dimension
        else { return otherwise }
        // The bias has a region of its own.
        let inputs = expected - (regions.count - 1)
        guard inputs > 0, excess > 0, excess.isMultiple(of: inputs), LayerAddress(name) == nil else {
            return otherwise
        }
        let groups = excess / inputs + 1
        guard outputs.isMultiple(of: groups) else { return otherwise }
        let rows = outputs / groups
        let names = (0..<groups).map { "\(name)[\($0 * rows):\(($0 + 1) * rows)]" }
        return " If it is a convolution of \(groups) groups, each group is a layer: \(names.quotedList)."
    }

    /// What to do about a factor or sum of another shape than the base's layer needs.
    func advice(about side: FactorSide, of found: SymmetricShape, needing needed: SymmetricShape) -> String {
        let remedy = found.remedy(needing: needed)
        guard remedy.isEmpty else { return remedy }
        return advice(
            about: side, exceedingBy: found.dimension - needed.dimension, otherwise: " Use what was made on this base.")
    }
}
