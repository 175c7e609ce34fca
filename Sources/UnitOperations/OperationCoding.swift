import Identifiers
import KroneckerFactors
import LinearAlgebra
import SwiftProtobuf

// All operations share these functions to encode and decode their messages. The bytes are not trusted, so no value in
// them may trap.

/// The limits of an operation's values.
enum OperationLimits {
    /// The most tasks, slices or targets in one list.
    static let listCountMax = 1 << 17
    /// The most rows, columns or positions.
    static let dimensionMax = 1 << 31
    /// The most rows of a tensor, and the most elements of a matrix: their bytes still fit 64 bits.
    static let elementsMax = 1 << 56
}

/// The bytes of a message: fields in the order of their numbers, without fields at their defaults.
func encoded(_ message: some Message) -> [UInt8] {
    do {
        return try message.serializedBytes()
    } catch {
        preconditionFailure("an operation that was planned cannot be written down: \(error)")
    }
}

/// Decodes a message.
func message<Value: Message>(_ bytes: [UInt8]) throws(OperationError) -> Value {
    do {
        return try Value(serializedBytes: bytes)
    } catch {
        throw .malformed("an operation's bytes are no message")
    }
}

/// Checks that a number is not negative and at most a limit.
func count(
    _ value: some BinaryInteger, _ what: String, most: Int = OperationLimits.dimensionMax
) throws(OperationError) -> Int {
    guard let count = Int(exactly: value), count >= 0, count <= most else { throw .malformed("\(what) is \(value)") }
    return count
}

/// Decodes a word of an enumeration.
func word<Word: RawRepresentable<String>>(_ text: String, _ what: String) throws(OperationError) -> Word {
    guard let word = Word(rawValue: text) else { throw .malformed("\(what) is \"\(text.excerpt)\"") }
    return word
}

/// Decodes a list of at most ``OperationLimits/listCountMax`` items.
func list<Item, Value>(
    _ items: [Item], _ what: String, _ decode: (Item) throws(OperationError) -> Value
) throws(OperationError) -> [Value] {
    guard items.count <= OperationLimits.listCountMax else { throw .malformed("\(what) has \(items.count) items") }
    var values: [Value] = []
    values.reserveCapacity(items.count)
    for item in items { values.append(try decode(item)) }
    return values
}

/// Decodes the shape of a factor, which is never empty.
func symmetricShape(_ dimension: UInt32, isDiagonal: Bool) throws(OperationError) -> SymmetricShape {
    guard dimension > 0 else { throw .malformed("a dimension is 0") }
    return SymmetricShape(dimension: try count(dimension, "a dimension"), isDiagonal: isDiagonal)
}

/// Checks the divisor of a sum.
func divisor(_ value: Double) throws(OperationError) -> Double {
    guard value.isFinite, value > 0 else { throw .malformed("a divisor is not positive") }
    return value
}

/// Checks that a number is finite and not negative.
func notNegative(_ value: Double, _ what: String) throws(OperationError) -> Double {
    guard value.isFinite, value >= 0 else { throw .malformed("\(what) is \(value)") }
    return value
}

/// Checks that there are weights, and that each is finite and not negative.
func taskWeights(_ weights: [Double]) throws(OperationError) -> [Double] {
    guard (1...OperationLimits.listCountMax).contains(weights.count), weights.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { throw .malformed("the weights of \(weights.count) tasks are missing, negative or not finite") }
    return weights
}

/// Decodes the tasks that sums leave out.
func exclusions(_ exclusions: [WireExclusion], taskCount: Int) throws(OperationError) -> [Int?] {
    try list(exclusions, "the list of targets") { exclusion throws(OperationError) in
        guard exclusion.hasTask else { return nil }
        return try count(exclusion.task, "a task", most: taskCount - 1)
    }
}

extension WireExclusion {
    init(_ task: Int?) {
        self.init()
        if let task { self.task = UInt32(task) }
    }
}

extension FileSlice {
    init(_ wire: WireFileSlice, _ files: FileNumbering) throws(OperationError) {
        let (end, overflow) = wire.offset.addingReportingOverflow(wire.byteCount)
        guard !overflow, end <= UInt64(Int.max) else { throw .malformed("a slice ends behind 2^63") }
        self.init(file: try files.file(at: wire.file), offset: wire.offset, byteCount: wire.byteCount)
    }

    func wire(_ files: inout FileNumbering) -> WireFileSlice {
        var wire = WireFileSlice()
        wire.file = files.place(of: file)
        wire.offset = offset
        wire.byteCount = byteCount
        return wire
    }
}

extension RowSlice {
    init(_ wire: WireRowSlice, _ files: FileNumbering) throws(OperationError) {
        self.init(
            slice: try FileSlice(wire.slice, files), rows: try count(wire.rows, "a number of rows"),
            firstRow: try count(wire.firstRow, "the first row", most: OperationLimits.elementsMax))
    }

    func wire(_ files: inout FileNumbering) -> WireRowSlice {
        var wire = WireRowSlice()
        wire.slice = slice.wire(&files)
        wire.rows = UInt64(rows)
        wire.firstRow = UInt64(firstRow)
        return wire
    }
}

extension CompressedForm {
    init(_ wire: WireCompressedForm) throws(OperationError) {
        let parameter =
            wire.hasParameter
            ? try count(wire.parameter, "the number of a compressed form", most: Int(UInt32.max)) : nil
        guard let form = CompressedForm(try UnitOperations.word(wire.name, "a compressed form"), parameter: parameter)
        else {
            throw .malformed("the compressed form \(wire.name.excerpt) has a wrong number, or lacks its number")
        }
        self = form
    }

    var wire: WireCompressedForm {
        var wire = WireCompressedForm()
        wire.name = word.rawValue
        if let parameter { wire.parameter = UInt32(parameter) }
        return wire
    }
}

extension DampingSpec {
    init(_ wire: WireDamping) throws(OperationError) {
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

extension CurvatureBlock.Kind {
    init(_ wire: WireBlockShape) throws(OperationError) {
        switch wire.kind {
        case .linear(let linear):
            self = .linear(
                outputs: try count(linear.outputs, "d_out"), inputs: try count(linear.inputs, "d_in"),
                hasBias: linear.hasBias_p, diagonals: DiagonalSides(linear))
        case .fullDimension(let dimension): self = .full(dimension: try count(dimension, "a dimension"))
        case nil: throw .malformed("a block has no kind")
        }
        try checkShape()
    }

    private func checkShape() throws(OperationError) {
        let (rows, columns) =
            switch self {
            case .linear(let outputs, let inputs, _, _): (outputs, inputs)
            case .full(let dimension): (1, dimension)
            }
        let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
        guard !overflow, (1...OperationLimits.elementsMax).contains(elements) else {
            throw .malformed("a block is [\(rows), \(columns)]")
        }
    }

    var wire: WireBlockShape {
        var wire = WireBlockShape()
        switch self {
        case .linear(let outputs, let inputs, let hasBias, let diagonals):
            wire.linear.outputs = UInt32(outputs)
            wire.linear.inputs = UInt32(inputs)
            wire.linear.hasBias_p = hasBias
            wire.linear.hasDiagonalInput_p = diagonals.contains(.input)
            wire.linear.hasDiagonalGradient_p = diagonals.contains(.gradient)
        case .full(let dimension): wire.fullDimension = UInt32(dimension)
        }
        return wire
    }
}

extension DiagonalSides {
    fileprivate init(_ wire: WireLinearBlock) {
        self = []
        if wire.hasDiagonalInput_p { insert(.input) }
        if wire.hasDiagonalGradient_p { insert(.gradient) }
    }
}

/// θ of a block in one checkpoint.
func blockParameters(
    _ wire: WireParameterSources, _ files: FileNumbering
) throws(OperationError) -> ParameterSources {
    try list(wire.tensors, "a block's parameters") { tensor throws(OperationError) in
        let type: ElementType = try word(tensor.elementType, "an element type")
        var source = TensorSource(
            elementType: type, slice: try FileSlice(tensor.slice, files), runs: try runs(tensor, of: type),
            layout: tensor.inOut ? .inOut : .outIn)
        if tensor.hasUpdate {
            let elements = source.slice.byteCount / UInt64(type.byteCount)
            source.update = try LowRankUpdate(tensor.update, elements: elements, files)
        }
        return source
    }
}

/// The elements of a parameter that is not contiguous: the slice begins with a run and ends with one.
private func runs(_ wire: WireTensorSource, of type: ElementType) throws(OperationError) -> ElementRuns? {
    guard wire.runLength != 0 || wire.runDistance != 0 else { return nil }
    let length = try count(wire.runLength, "the length of a run", most: OperationLimits.elementsMax)
    let distance = try count(wire.runDistance, "the distance of runs", most: OperationLimits.elementsMax)
    let (elements, part) = wire.slice.byteCount.quotientAndRemainder(dividingBy: UInt64(type.byteCount))
    guard length > 0, distance > length, part == 0, elements <= UInt64(OperationLimits.elementsMax),
        Int(elements) > length, (Int(elements) - length).isMultiple(of: distance)
    else {
        throw .malformed(
            "runs of \(length) elements at a distance of \(distance) do not fill \(wire.slice.byteCount) bytes")
    }
    return ElementRuns(from: 0, length: length, distance: distance, count: (Int(elements) - length) / distance + 1)
}

extension WireParameterSources {
    init(_ parameters: ParameterSources, _ files: inout FileNumbering) {
        self.init()
        for source in parameters {
            var tensor = WireTensorSource()
            tensor.elementType = source.elementType.rawValue
            tensor.slice = source.slice.wire(&files)
            tensor.inOut = source.layout == .inOut
            tensor.runLength = UInt64(source.runs?.length ?? 0)
            tensor.runDistance = UInt64(source.runs?.distance ?? 0)
            if let update = source.update { tensor.update = update.wire(&files) }
            tensors.append(tensor)
        }
    }
}
