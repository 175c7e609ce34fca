public import Identifiers
import NameMatching

/// What a base says of captured layers that the captures do not say: whether they have a bias, and how wide they are.
///
/// Source: DESIGN section 3, the names of layers.
public struct BaseLayers: Sendable {
    private let base: CheckpointInventory
    private let tensors: TensorNames

    /// Takes the tensors of a base, also those that it omits because they are tied.
    public init(of base: CheckpointInventory) {
        self.base = base
        tensors = TensorNames(of: base, [])
    }

    /// Whether a layer has a bias.
    ///
    /// - Throws: ``JobRefusal`` for a layer that the base does not have.
    public func hasBias(_ layer: String) throws(JobRefusal) -> Bool {
        try stored(layer).bias != nil
    }

    /// The widths of a layer's rows.
    ///
    /// - Parameters:
    ///   - layer: The layer's name.
    ///   - layout: How its weight is stored.
    /// - Returns: d_in, without the one of a bias, and d_out.
    /// - Throws: ``JobRefusal`` for a layer that the base does not have, or not in this layout.
    public func widths(of layer: String, _ layout: WeightLayout) throws(JobRefusal) -> (inputs: Int, outputs: Int) {
        let stored = try stored(layer)
        return try refusing { () throws(StoredLayer.Flaw) in try stored.widths(layout) }
    }

    private func stored(_ layer: String) throws(JobRefusal) -> StoredLayer {
        let found = try refusing { () throws(StoredLayer.Flaw) in try StoredLayer(layer, in: tensors) }
        if let found { return found }
        let modules = base.tensors.keys.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }.sorted()
        throw refusal("the base has no layer \"\(layer)\".\(suggestion(for: layer, among: modules))")
    }

    private func refusing<Value>(_ body: () throws(StoredLayer.Flaw) -> Value) throws(JobRefusal) -> Value {
        do throws(StoredLayer.Flaw) { return try body() } catch { throw refusal(error.sentence) }
    }

    private func refusal(_ sentence: String) -> JobRefusal {
        JobRefusal(problems: [JobProblem(at: base.location, sentence)])
    }
}
