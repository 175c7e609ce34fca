import Identifiers
import LinearAlgebra
import UnitOperations

/// A captured layer's place in the base: the stored weight, its bias, and the part of them that the name addresses.
///
/// Source: DESIGN section 3, the names of layers.
struct StoredLayer {
    /// A reason why a layer cannot have factors, as a sentence.
    struct Flaw: Error {
        let sentence: String
    }

    let name: String
    let address: LayerAddress
    /// The weight's name in the layer's own module; another than the stored tensor's if the weight is tied.
    let weightName: String
    let weight: TensorInventory
    let bias: TensorInventory?
    /// The first element of the weight's matrix; more than 0 for an expert.
    private let start: Int
    /// Rows and columns of the weight's matrix as stored, without an address of outputs.
    let matrix: (rows: Int, columns: Int)

    /// Finds a layer in the base; `nil` if the base holds no weight of that name.
    ///
    /// The weight is `L.weight`, `L_weight` or `L` itself, in this order, and the bias `L.bias` or `L_bias`. A name
    /// that only looks like an address is found first.
    ///
    /// - Throws: ``Flaw`` for a weight that is no matrix, or an address outside it.
    init?(_ name: String, in base: TensorNames) throws(Flaw) {
        let addresses = [LayerAddress(whole: name)] + (LayerAddress(name).map { [$0] } ?? [])
        for address in addresses {
            let module = address.module
            let names = ["\(module).weight", "\(module)_weight", module]
            guard let weightName = names.first(where: { base[$0] != nil }), let weight = base[weightName] else {
                continue
            }
            self.name = name
            self.address = address
            self.weightName = weightName
            self.weight = weight
            bias = ["\(module).bias", "\(module)_bias"].lazy.filter { $0 != weight.name }.compactMap { base[$0] }.first
            (start, matrix) = try Self.matrix(of: weight, address.index)
            return
        }
        return nil
    }

    private static func matrix(
        of weight: TensorInventory, _ index: Int?
    ) throws(Flaw) -> (start: Int, matrix: (rows: Int, columns: Int)) {
        var shape = weight.shape[...]
        var start = 0
        if let index {
            guard shape.count >= 3, let first = shape.first, index < first else {
                throw Flaw(
                    sentence: "tensor \"\(weight.name)\" is \(weight.elementType) \(weight.shape) and has no part "
                        + "[\(index)]; expected a fused tensor of three or more dimensions with more than \(index) parts."
                )
            }
            shape = shape.dropFirst()
            start = index * shape.reduce(1, *)
        }
        guard shape.count >= 2, weight.floatingType != nil, let rows = shape.first else {
            throw Flaw(
                sentence: "tensor \"\(weight.name)\" is \(weight.elementType) \(weight.shape); a layer with factors "
                    + "needs a floating-point matrix [d_out, d_in].")
        }
        return (start, (rows, shape.dropFirst().reduce(1, *)))
    }

    // MARK: - Shapes

    /// Number of the bias's elements that belong to one weight matrix; `nil` without a bias.
    private var biasCount: Int? {
        guard let bias else { return nil }
        return address.index == nil ? bias.elementCount : bias.shape.last
    }

    /// d_out of the whole matrix in a layout.
    private func outputs(_ layout: WeightLayout) -> Int { layout == .outIn ? matrix.rows : matrix.columns }
    /// d_in in a layout.
    private func inputs(_ layout: WeightLayout) -> Int { layout == .outIn ? matrix.columns : matrix.rows }

    /// Whether the matrix has as many rows as columns, so that its shape does not tell its layout.
    var isSquare: Bool { matrix.rows == matrix.columns && matrix.rows > 1 }

    /// Whether a layout agrees with the bias, and with the widths that were captured.
    func fits(_ layout: WeightLayout, _ widths: LayerWidths?) -> Bool {
        if let biasCount, biasCount != outputs(layout) { return false }
        guard let widths else { return true }
        if let found = widths.inputs, found != inputs(layout) { return false }
        if let found = widths.inputsWithBias, found != inputs(layout) + (bias == nil ? 0 : 1) { return false }
        return widths.outputs == address.rows?.count ?? outputs(layout)
    }

    /// The stored weight and bias in words: `"c_attn.weight" [768, 2304] beside a bias of 2304`.
    var description: String {
        "\"\(weight.name)\" \(weight.shape)" + (biasCount.map { " beside a bias of \($0)" } ?? "")
    }

    // MARK: - The block

    /// d_in, without the one of a bias, and d_out in a layout.
    ///
    /// - Throws: As ``block(_:)``.
    func widths(_ layout: WeightLayout) throws(Flaw) -> (inputs: Int, outputs: Int) {
        _ = try block(layout)
        return (inputs(layout), address.rows?.count ?? outputs(layout))
    }

    /// The layer in a layout.
    ///
    /// - Throws: ``Flaw`` for a bias of another length, or rows that are not there.
    func block(_ layout: WeightLayout) throws(Flaw) -> CurvatureBlock {
        let (all, inputs) = (outputs(layout), inputs(layout))
        let rows = address.rows ?? 0..<all
        if let asked = address.rows {
            guard asked.upperBound <= all, !asked.isEmpty else {
                throw Flaw(
                    sentence: "the layer \"\(name)\" is the outputs \(asked.lowerBound) to \(asked.upperBound) of "
                        + "\"\(weight.name)\" \(weight.shape) (\(layout.rawValue)), which has \(all); expected at "
                        + "least one of them.")
            }
        }
        var regions = [ParameterRegion(tensor: weight.name, elements: elements(of: rows, layout), layout: layout)]
        if let bias {
            let expected = (address.index == nil ? [] : weight.shape.prefix(1)) + [all]
            guard bias.shape == Array(expected), bias.floatingType != nil else {
                throw Flaw(
                    sentence: "tensor \"\(bias.name)\" is \(bias.elementType) \(bias.shape); the bias of "
                        + "\"\(weight.name)\" \(weight.shape) must be a floating-point \(address.index == nil ? "vector" : "matrix") "
                        + "\(Array(expected)).")
            }
            let first = (address.index ?? 0) * all
            regions.append(
                ParameterRegion(tensor: bias.name, elements: first + rows.lowerBound..<first + rows.upperBound))
        }
        return CurvatureBlock(
            name: name, kind: .linear(outputs: rows.count, inputs: inputs, hasBias: bias != nil), regions: regions)
    }

    /// The places of some outputs in the stored tensor: its rows, or columns of them if it is `[d_in, d_out]`.
    private func elements(of outputs: Range<Int>, _ layout: WeightLayout) -> ElementRuns {
        switch layout {
        case .outIn:
            let first = start + outputs.lowerBound * matrix.columns
            return ElementRuns(first..<first + outputs.count * matrix.columns)
        case .inOut:
            guard !outputs.isEmpty, matrix.rows > 0 else { return ElementRuns(start..<start) }
            return ElementRuns(
                from: start + outputs.lowerBound, length: outputs.count, distance: matrix.columns, count: matrix.rows)
        }
    }
}

/// The widths of a layer's rows or factors in one task.
struct LayerWidths: Equatable {
    /// d_in, from captured rows; indices do not tell it.
    var inputs: Int?
    /// d_in, and one more if the layer has a bias, from a factor A.
    var inputsWithBias: Int?
    /// d_out.
    var outputs: Int

    /// The widths that a task holds of a layer; `nil` if it holds none.
    init?(of layer: String, heldBy task: TaskName, in inventory: JobInventory) {
        if let captured = inventory.captures[task]?.layers[LayerName(rawValue: layer)] {
            inputs = captured.input.indexType == nil ? captured.input.columns : nil
            outputs = captured.outputGradient.columns
        } else if let factors = inventory.factorSets[task]?.factors,
            let input = factors[FactorName(owner: layer, side: .input)],
            let gradient = factors[FactorName(owner: layer, side: .gradient)]
        {
            inputsWithBias = input.shape.dimension
            outputs = gradient.shape.dimension
        } else if let sums = inventory.partials[task]?.sums,
            let input = sums[FactorName(owner: layer, side: .input)],
            let gradient = sums[FactorName(owner: layer, side: .gradient)]
        {
            inputsWithBias = input.shape.dimension
            outputs = gradient.shape.dimension
        } else {
            return nil
        }
    }
}
