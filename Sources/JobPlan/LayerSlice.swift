/// Consecutive layers of a network that have parameters of their own in a merge: a slice of mergekit's.
///
/// The slices of a job name all layers in order, and no layer moves.
public struct LayerSlice: Equatable, Sendable {
    /// The numbers of its layers, from 0; not empty.
    public var layers: Range<Int>
    /// `job.yaml:line:column` of the entry.
    public var location: String

    /// Names some layers.
    public init(layers: Range<Int>, location: String) {
        self.layers = layers
        self.location = location
    }

    /// The depth of a layer in the slice: 0 for the first, 1 for the last and for the only one.
    ///
    /// Source: mergekit's rule of gradients.
    func depth(of layer: Int) -> Double {
        layers.count == 1 ? 1 : Double(layer - layers.lowerBound) / Double(layers.count - 1)
    }
}
