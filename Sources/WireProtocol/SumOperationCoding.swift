import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra

// Sums over parts and over tasks ⇄ the schema.

extension ImportOperation {
    init(_ wire: WireImportOperation) throws(WireError) {
        self.init(
            name: wire.name, dimension: try count(wire.dimension, "a dimension"),
            elementType: try word(wire.elementType, "an element type"), isPacked: wire.isPacked,
            slice: try FileSlice(wire.slice))
    }

    var wire: WireImportOperation {
        var wire = WireImportOperation()
        wire.name = name
        wire.dimension = UInt32(dimension)
        wire.elementType = elementType.rawValue
        wire.isPacked = isPacked
        wire.slice = slice.wire
        return wire
    }
}

extension CombineOperation where Blob == LeasedBlob {
    init(_ wire: WireCombineOperation) throws(WireError) {
        guard wire.divisor.isFinite, wire.divisor > 0 else { throw .malformed("a divisor is not positive") }
        self.init(
            parts: try list(wire.parts, "the list of parts") { part throws(WireError) in try LeasedBlob(part) },
            dimension: try count(wire.dimension, "a dimension"), divisor: wire.divisor)
    }

    var wire: WireCombineOperation {
        var wire = WireCombineOperation()
        wire.parts = parts.map(\.wire)
        wire.dimension = UInt32(dimension)
        wire.divisor = divisor
        return wire
    }
}

extension AccumulateOperation where Blob == LeasedBlob {
    init(_ wire: WireAccumulateOperation) throws(WireError) {
        let factors = try list(wire.factors, "the list of factors") { blob throws(WireError) in try LeasedBlob(blob) }
        self.init(
            side: try word(wire.side, "a side"), dimension: try count(wire.dimension, "a dimension"),
            factors: factors, weights: try checked(wire.weights, taskCount: factors.count),
            exclusions: try decode(wire.exclusions, taskCount: factors.count),
            scale: try word(wire.scale, "a scale"))
    }

    var wire: WireAccumulateOperation {
        var wire = WireAccumulateOperation()
        wire.side = side.rawValue
        wire.dimension = UInt32(dimension)
        wire.factors = factors.map(\.wire)
        wire.weights = weights
        wire.exclusions = encode(exclusions)
        wire.scale = scale.rawValue
        return wire
    }
}

extension OptimalAccumulateOperation where Blob == LeasedBlob {
    init(_ wire: WireOptimalAccumulateOperation) throws(WireError) {
        let count = wire.input.factors.count
        self.init(
            input: try Side(wire.input, taskCount: count), gradient: try Side(wire.gradient, taskCount: count),
            weights: try checked(wire.weights, taskCount: count),
            rank: try WireProtocol.count(wire.rank, "a rank", most: WireLimits.listCountMax),
            exclusions: try decode(wire.exclusions, taskCount: count), scale: try word(wire.scale, "a scale"))
    }

    var wire: WireOptimalAccumulateOperation {
        var wire = WireOptimalAccumulateOperation()
        wire.input = input.wire
        wire.gradient = gradient.wire
        wire.weights = weights
        wire.rank = UInt32(rank)
        wire.exclusions = encode(exclusions)
        wire.scale = scale.rawValue
        return wire
    }
}

extension OptimalAccumulateOperation.Side where Blob == LeasedBlob {
    init(_ wire: WireOptimalSide, taskCount: Int) throws(WireError) {
        guard wire.factors.count == taskCount, wire.innerProducts.count == taskCount * taskCount else {
            throw .malformed("a side has \(wire.factors.count) factors and \(wire.innerProducts.count) inner products")
        }
        self.init(
            dimension: try count(wire.dimension, "a dimension"),
            factors: try list(wire.factors, "the list of factors") { blob throws(WireError) in try LeasedBlob(blob) },
            products: .values(wire.innerProducts))
    }

    var wire: WireOptimalSide {
        var wire = WireOptimalSide()
        wire.dimension = UInt32(dimension)
        wire.factors = factors.map(\.wire)
        if case .values(let values) = products { wire.innerProducts = values }
        return wire
    }
}

private func encode(_ exclusions: [Int?]) -> [WireExclusion] {
    exclusions.map { task in
        var wire = WireExclusion()
        if let task { wire.task = UInt32(task) }
        return wire
    }
}

private func decode(_ exclusions: [WireExclusion], taskCount: Int) throws(WireError) -> [Int?] {
    try list(exclusions, "the list of targets") { exclusion throws(WireError) in
        guard exclusion.hasTask else { return nil }
        return try count(exclusion.task, "a task", most: taskCount - 1)
    }
}

/// Checks the weights: one for each task, all finite.
private func checked(_ weights: [Double], taskCount: Int) throws(WireError) -> [Double] {
    guard taskCount > 0, taskCount <= WireLimits.listCountMax, weights.count == taskCount,
        weights.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { throw .malformed("\(taskCount) tasks have \(weights.count) weights, or some that are no weights") }
    return weights
}
