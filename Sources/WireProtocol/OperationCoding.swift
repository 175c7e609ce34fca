import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra

// Operations ⇄ the schema, one extension for each message.

extension FactorOperation {
    init(_ wire: WireFactorOperation) throws(WireError) {
        self.init(
            tensor: wire.tensor, columns: try count(wire.columns, "the number of columns"),
            appendsOnes: wire.appendsOnes, elementType: try word(wire.elementType, "an element type"),
            slices: try list(wire.slices, "the list of slices") { slice throws(WireError) in
                RowSlice(
                    slice: try FileSlice(slice.slice), rows: try count(slice.rows, "a number of rows"),
                    firstRow: try count(slice.firstRow, "the first row", most: WireLimits.elementsMax))
            },
            chunkRows: try count(wire.chunkRows, "the rows of a chunk"),
            reduction: try PositionReduction(wire.reduction, positions: wire.positions),
            divisor: wire.hasDivisor ? wire.divisor : nil)
        try checkShape()
    }

    private func checkShape() throws(WireError) {
        guard columns > 0, chunkRows > 0 else { throw .malformed("a factor has no rows or columns") }
        let rowBytes = UInt64(columns * elementType.byteCount)
        for slice in slices {
            let (bytes, overflow) = rowBytes.multipliedReportingOverflow(by: UInt64(slice.rows))
            guard !overflow, bytes == slice.slice.byteCount else {
                throw .malformed("a slice of \(slice.rows) rows has \(slice.slice.byteCount) bytes")
            }
        }
        guard divisor.map({ $0.isFinite && $0 > 0 }) ?? true else { throw .malformed("a divisor is not positive") }
    }

    var wire: WireFactorOperation {
        var wire = WireFactorOperation()
        wire.tensor = tensor
        wire.columns = UInt32(columns)
        wire.appendsOnes = appendsOnes
        wire.elementType = elementType.rawValue
        wire.slices = slices.map { slice in
            var wire = WireRowSlice()
            wire.slice = slice.slice.wire
            wire.rows = UInt64(slice.rows)
            wire.firstRow = UInt64(slice.firstRow)
            return wire
        }
        wire.chunkRows = UInt32(chunkRows)
        (wire.reduction, wire.positions) = reduction.wire
        if let divisor { wire.divisor = divisor }
        return wire
    }
}

extension PositionReduction {
    init(_ word: String, positions: UInt32) throws(WireError) {
        let positions = try count(positions, "the number of positions")
        switch word {
        case "none": self = .none
        case "mean" where positions > 0: self = .mean(positions: positions)
        case "sum" where positions > 0: self = .sum(positions: positions)
        default: throw .malformed("the reduction is \"\(word.excerpt)\" over \(positions) positions")
        }
    }

    var wire: (String, UInt32) {
        switch self {
        case .none: ("none", 1)
        case .mean(let positions): ("mean", UInt32(positions))
        case .sum(let positions): ("sum", UInt32(positions))
        }
    }
}

extension DampingSpec {
    init(_ wire: WireDamping) throws(WireError) {
        guard wire.value.isFinite, wire.value >= 0 else { throw .malformed("a damping value is \(wire.value)") }
        self.init(rule: try word(wire.rule, "a damping rule"), value: wire.value)
    }

    var wire: WireDamping {
        var wire = WireDamping()
        wire.rule = rule.rawValue
        wire.value = value
        return wire
    }
}

extension InvertOperation where Blob == LeasedBlob {
    init(_ wire: WireInvertOperation) throws(WireError) {
        self.init(
            factor: try LeasedBlob(wire.factor), dimension: try count(wire.dimension, "a dimension"),
            isFullBlock: wire.isFullBlock, damping: try DampingSpec(wire.damping))
    }

    var wire: WireInvertOperation {
        var wire = WireInvertOperation()
        wire.factor = factor.wire
        wire.dimension = UInt32(dimension)
        wire.isFullBlock = isFullBlock
        wire.damping = damping.wire
        return wire
    }
}

extension CurvatureBlock {
    init(_ wire: WireCurvatureBlock) throws(WireError) {
        switch wire.kind {
        case .linear(let linear):
            self.init(
                name: wire.name,
                kind: .linear(
                    outputs: try count(linear.outputs, "d_out"), inputs: try count(linear.inputs, "d_in"),
                    hasBias: linear.hasBias_p))
        case .fullDimension(let dimension):
            self.init(name: wire.name, kind: .full(dimension: try count(dimension, "a dimension")))
        case nil: throw .malformed("a block has no kind")
        }
        try checkShape()
    }

    private func checkShape() throws(WireError) {
        let (rows, columns) =
            switch kind {
            case .linear(let outputs, let inputs, _): (outputs, inputs)
            case .full(let dimension): (1, dimension)
            }
        let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
        guard !overflow, (1...WireLimits.elementsMax).contains(elements) else {
            throw .malformed("a block is [\(rows), \(columns)]")
        }
    }

    var wire: WireCurvatureBlock {
        var wire = WireCurvatureBlock()
        wire.name = name
        switch kind {
        case .linear(let outputs, let inputs, let hasBias):
            wire.linear.outputs = UInt32(outputs)
            wire.linear.inputs = UInt32(inputs)
            wire.linear.hasBias_p = hasBias
        case .full(let dimension): wire.fullDimension = UInt32(dimension)
        }
        return wire
    }
}

extension BlockFactors where Blob == LeasedBlob {
    init(_ wire: WireBlockFactors) throws(WireError) {
        switch wire.factors {
        case .kronecker(let pair):
            self = .kronecker(input: try LeasedBlob(pair.input), gradient: try LeasedBlob(pair.gradient))
        case .full(let blob): self = .full(try LeasedBlob(blob))
        case nil: throw .malformed("a block has no factors")
        }
    }

    var wire: WireBlockFactors {
        var wire = WireBlockFactors()
        switch self {
        case .kronecker(let input, let gradient):
            wire.kronecker.input = input.wire
            wire.kronecker.gradient = gradient.wire
        case .full(let blob): wire.full = blob.wire
        }
        return wire
    }
}

private func decodeParameters(_ wire: WireBlockParameters) throws(WireError) -> BlockParameters {
    try list(wire.tensors, "a block's parameters") { tensor throws(WireError) in
        TensorSource(
            elementType: try word(tensor.elementType, "an element type"), slice: try FileSlice(tensor.slice))
    }
}

private func encodeParameters(_ parameters: BlockParameters) -> WireBlockParameters {
    var wire = WireBlockParameters()
    wire.tensors = parameters.map { source in
        var wire = WireTensorSource()
        wire.elementType = source.elementType.rawValue
        wire.slice = source.slice.wire
        return wire
    }
    return wire
}

extension PenaltyOperation where Blob == LeasedBlob {
    init(_ wire: WirePenaltyOperation) throws(WireError) {
        self.init(
            block: try CurvatureBlock(wire.block), factors: try BlockFactors(wire.factors),
            base: try decodeParameters(wire.base),
            checkpoints: try list(wire.checkpoints, "the list of checkpoints", decodeParameters),
            unweighted: try list(wire.unweighted, "the list of unweighted checkpoints") { position throws(WireError) in
                try count(position, "an unweighted checkpoint's position", most: wire.checkpoints.count - 1)
            })
    }

    var wire: WirePenaltyOperation {
        var wire = WirePenaltyOperation()
        wire.block = block.wire
        wire.factors = factors.wire
        wire.base = encodeParameters(base)
        wire.checkpoints = checkpoints.map(encodeParameters)
        wire.unweighted = unweighted.map { UInt32($0) }
        return wire
    }
}

extension MergeBlockOperation where Blob == LeasedBlob {
    init(_ wire: WireMergeBlockOperation) throws(WireError) {
        self.init(
            block: try CurvatureBlock(wire.block), base: try decodeParameters(wire.base),
            tasks: try list(wire.tasks, "the list of tasks") { task throws(WireError) in
                Task(
                    parameters: try decodeParameters(task.parameters), weight: task.weight, lambda: task.lambda,
                    factors: try BlockFactors(task.factors))
            },
            scale: wire.scale, damping: try DampingSpec(wire.damping),
            outputTypes: try list(wire.outputTypes, "the list of output types") { type throws(WireError) in
                try word(type, "an element type")
            })
    }

    var wire: WireMergeBlockOperation {
        var wire = WireMergeBlockOperation()
        wire.block = block.wire
        wire.base = encodeParameters(base)
        wire.tasks = tasks.map { task in
            var wire = WireMergeBlockTask()
            wire.parameters = encodeParameters(task.parameters)
            wire.weight = task.weight
            wire.lambda = task.lambda
            wire.factors = task.factors.wire
            return wire
        }
        wire.scale = scale
        wire.damping = damping.wire
        wire.outputTypes = outputTypes.map(\.rawValue)
        return wire
    }
}
