import Identifiers

/// Layers whose layout nobody declared although it must be known.
struct UndeclaredLayouts {
    /// Layers that fit `[d_in, d_out]` only.
    private var transposed: [StoredLayer] = []
    /// Square layers, whose shape does not tell.
    private var squares: [StoredLayer] = []
    /// A layer that is stored as `[d_in, d_out]`, in words.
    private var evidence: String?

    /// Notes a layer that nobody declared.
    ///
    /// - Returns: Whether it can be used as `[d_out, d_in]`, unless it is square in a model that has transposed layers.
    mutating func note(_ layer: StoredLayer, _ widths: LayerWidths?) -> Bool {
        if layer.isSquare { squares.append(layer) }
        guard !layer.fits(.outIn, widths), layer.fits(.inOut, widths) else { return true }
        transposed.append(layer)
        return false
    }

    /// Notes a layer that is declared as `[d_in, d_out]`.
    mutating func note(declared layer: StoredLayer, at place: String) {
        evidence = evidence ?? "\"\(layer.name)\" is stored as [d_in, d_out] (\(place))"
    }

    /// The one problem of all these layers.
    func problems(in base: CheckpointInventory, _ declarations: WeightLayouts) -> [JobProblem] {
        guard let found = transposed.first ?? squares.first else { return [] }
        let remedy =
            "Declare it in the job, as in \"kfac: {layout: {\"\(found.name)\": in_out}}\", or as \"layout\" in the "
            + "metadata of the captures or factors; out_in means [d_out, d_in], as torch.nn.Linear has it."
        if let first = transposed.first {
            let others = transposed.count == 1 ? "" : " (and \(transposed.count - 1) more)"
            let alsoSquare =
                squares.isEmpty
                ? "" : " \(squares.count) square \(squares.count == 1 ? "layer needs" : "layers need") one too."
            return [
                JobProblem(
                    at: base.location,
                    "the layer \"\(first.name)\"\(others) fits \(first.description) only as [d_in, d_out], but nothing "
                        + "declares this layout.\(alsoSquare) \(remedy)")
            ]
        }
        guard let evidence = evidence ?? Self.transposedWeight(in: base, declarations) else { return [] }
        let others = squares.count == 1 ? "" : " and \(squares.count - 1) more"
        return [
            JobProblem(
                at: base.location,
                "the layer \"\(found.name)\"\(others) is square, and \(evidence), so it cannot be told whether its "
                    + "weight is [d_out, d_in] or [d_in, d_out]. \(remedy)")
        ]
    }

    /// A weight of the base whose bias shows that it is stored as `[d_in, d_out]`, in words.
    private static func transposedWeight(
        in base: CheckpointInventory, _ declarations: WeightLayouts
    ) -> String? {
        for (name, weight) in base.tensors.sorted(by: { $0.key < $1.key }) {
            let leading = weight.shape.count - 2
            guard leading >= 0, let bias = bias(of: name, in: base) else { continue }
            let (rows, columns) = (weight.shape[leading], weight.shape[leading + 1])
            guard rows != columns, bias.shape == weight.shape.prefix(leading) + [columns],
                !declarations.recognises(module(of: name))
            else { continue }
            return "the base stores \"\(name)\" as \(weight.shape) beside a bias of \(columns), which is [d_in, d_out]"
        }
        return nil
    }

    private static func module(of weight: String) -> String {
        for suffix in [".weight", "_weight"] where weight.hasSuffix(suffix) { return String(weight.dropLast(7)) }
        return weight
    }

    /// The bias of a layer, or those of fused experts.
    private static func bias(of weight: String, in base: CheckpointInventory) -> TensorInventory? {
        let module = module(of: weight)
        return base.tensors["\(module).bias"] ?? base.tensors["\(module)_bias"]
    }
}
