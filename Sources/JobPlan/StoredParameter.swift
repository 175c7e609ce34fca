import UnitOperations

/// The place of a parameter outside linear layers in the base: a tensor, or a part that the name addresses.
///
/// `norms.weight[3]` is one norm of a stacked tensor.
struct StoredParameter {
    let tensor: TensorInventory
    private let name: String
    private let address: LayerAddress

    /// Finds a parameter; `nil` if the base does not hold it.
    init?(_ name: String, in base: TensorNames) {
        let addresses = [LayerAddress(whole: name)] + (LayerAddress(name).map { [$0] } ?? [])
        for address in addresses {
            guard let tensor = base[address.module] else { continue }
            self.tensor = tensor
            self.name = name
            self.address = address
            return
        }
        return nil
    }

    /// The parameter with a full block over its elements.
    ///
    /// - Throws: ``StoredLayer/Flaw`` for a part that is not there.
    func block() throws(StoredLayer.Flaw) -> CurvatureBlock {
        var shape = tensor.shape[...]
        var start = 0
        if let index = address.index {
            guard shape.count >= 2, let first = shape.first, index < first else { throw missing("[\(index)]") }
            shape = shape.dropFirst()
            start = index * shape.reduce(1, *)
        }
        var count = shape.reduce(1, *)
        if let rows = address.rows {
            guard let first = shape.first, rows.upperBound <= first, !rows.isEmpty else {
                throw missing("[\(rows.lowerBound):\(rows.upperBound)]")
            }
            let rowCount = shape.dropFirst().reduce(1, *)
            start += rows.lowerBound * rowCount
            count = rows.count * rowCount
        }
        return CurvatureBlock(
            name: name, kind: .full(dimension: count),
            regions: [ParameterRegion(tensor: tensor.name, elements: start..<start + count)])
    }

    private func missing(_ part: String) -> StoredLayer.Flaw {
        StoredLayer.Flaw(
            sentence:
                "tensor \"\(tensor.name)\" is \(tensor.elementType) \(tensor.shape) and has no part \(part), which "
                + "the captured parameter \"\(name)\" names.")
    }
}
