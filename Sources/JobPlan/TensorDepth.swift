/// The place of a tensor that decides the values of its parameters: a slice of the layers, and the depth in it.
struct TensorDepth: Equatable {
    /// The slice; 0 where a job has none.
    var slice: Int
    /// From 0 (first) to 1 (last), where gradients are interpolated.
    var depth: Double
}

/// The places of a base's tensors under a job.
///
/// Without slices the depth is that in the whole network. With slices it is that in the tensor's slice. As in mergekit,
/// tensors before the layers then belong to the first slice, tensors behind them to the last, and both have depth 0.
struct TensorDepths: Sendable {
    private let network: NetworkDepth
    private let slices: [LayerSlice]

    init(base: CheckpointInventory, slices: [LayerSlice]) {
        network = NetworkDepth(base: base)
        self.slices = slices
    }

    /// The tensor's place for its parameters.
    subscript(tensor: String) -> TensorDepth {
        guard !slices.isEmpty else { return TensorDepth(slice: 0, depth: network.depth(of: tensor)) }
        let behind = TensorDepth(slice: slices.count - 1, depth: 0)
        if let layer = network.layer(of: tensor) {
            guard let slice = slices.firstIndex(where: { $0.layers.contains(layer) }) else { return behind }
            return TensorDepth(slice: slice, depth: slices[slice].depth(of: layer))
        }
        return network.place(of: tensor) == .behind ? behind : TensorDepth(slice: 0, depth: 0)
    }

    /// The tensor's place in the network.
    func place(of tensor: String) -> NetworkDepth.Place { network.place(of: tensor) }
}
