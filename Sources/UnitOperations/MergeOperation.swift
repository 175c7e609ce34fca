import Identifiers
public import LinearAlgebra
public import RandomNumbers
public import TaskArithmetic

/// The merge of a block or of a whole tensor by a method that streams: the factors and task vectors of all tasks → the
/// merged parameters.
///
/// It reads, task by task, the task's A then B of a layer, or its F of a parameter, F32 packed, or F64 on request.
/// Then it reads, in the same order, the inverses of A and B, or of F: one pair for all tasks, or one for each.
/// It makes a blob a parameter. Of a tensor without factors it reads no blobs. Its subject is the block or the tensor.
///
/// A method may need statistics of the whole model. The same operation measures them, in rounds: it then reads the
/// earlier rounds' numbers, and makes numbers and no blob.
///
/// Source: DESIGN section 2.5.
public struct MergeOperation: UnitOperation {
    /// One task's share.
    public struct Task: Equatable, Sendable {
        /// θ_t.
        public var parameters: ParameterSources
        /// 0 for the base, else the task's position in the job + 1.
        public var place: Int
        /// Factor of the task vector; negative for negation.
        ///
        /// The weights of a block are divided where the job says so.
        public var weight: Double
        /// λ_t.
        public var lambda: Double
        /// The task's own parameters of the method.
        public var arguments: MergeArguments
        /// Its random numbers for this tensor, under a method that draws any.
        ///
        /// The stream stands for the names, which an operation does not have.
        public var randomStream: RandomStream?

        /// Describes a task's share.
        public init(
            parameters: ParameterSources, place: Int = 1, weight: Double, lambda: Double,
            arguments: MergeArguments = MergeArguments()
        ) {
            self.parameters = parameters
            self.place = place
            self.weight = weight
            self.lambda = lambda
            self.arguments = arguments
        }
    }

    /// The name of the merge method.
    public var method: String
    /// The job's own parameters of the method.
    public var arguments: MergeArguments
    /// What is merged.
    public var parameters: MergedParameters
    /// θ_0; empty where the models themselves are merged, as if it were zero.
    public var base: ParameterSources
    /// The tasks, in the job's order; the base stands first where it counts as one.
    public var tasks: [Task]
    /// α.
    public var scale: Double
    /// Whether the method divides by the weights; never for a block.
    public var divides: Bool
    /// How to damp.
    public var damping: DampingSpec
    /// Element type of each merged parameter.
    public var outputTypes: [ElementType]
    /// Number of inverses that are read: 0, 1 for all tasks, or one for each task.
    public var inverseCount = 0
    /// Number of rounds of statistics that are read.
    public var roundCount = 0
    /// Whether it makes the next round's statistics, not parameters.
    public var measures = false
    /// Whether it makes the numbers of the tensor that its elementwise merge needs, not parameters.
    public var measuresTensor = false
    /// The most singular triplets of α Δ of which it makes two factors, B and A; 0 for the merged parameters.
    public var rank = 0
    /// Whether the weighted vectors of the matrix are only added up, as the method does with elements.
    public var isSum = false
    /// Whether the tasks' factors are read as F64.
    public var readsDouble = false
    /// Whether Δ is solved already: it is the first matrix of a blob, as F64.
    ///
    /// Then it reads that blob and the numbers ``MeasurementName/descent`` of the iteration alone, and has no tasks.
    public var readsSolution = false

    /// Describes the merge.
    public init(
        method: String, arguments: MergeArguments = MergeArguments(), parameters: MergedParameters,
        base: ParameterSources, tasks: [Task], scale: Double, divides: Bool = false, damping: DampingSpec,
        outputTypes: [ElementType]
    ) {
        self.method = method
        self.arguments = arguments
        self.parameters = parameters
        self.base = base
        self.tasks = tasks
        self.scale = scale
        self.divides = divides
        self.damping = damping
        self.outputTypes = outputTypes
    }

    // MARK: - Work

    /// The operation's word in leases and keys.
    ///
    /// It is older than the merge of whole tensors. Keys hold it, so it stays.
    public static var kind: String { "merge" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .merge }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + tasks.flatMap(\.parameters)).flatMap(\.slices) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { readsSolution ? 1 : parameters.factors.count * (tasks.count + inverseCount) }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { readsSolution ? 1 : roundCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { measures || measuresTensor ? 0 : rank > 0 ? 2 : parameters.count }

    /// The computation that merges the parameters.
    ///
    /// - Parameter method: The method of the operation's name.
    /// - Returns: The computation; `nil` without a method, or for one of elements alone.
    public func computation(by method: MergeMethod?) -> (any (StreamedComputation & ~Copyable).Type)? {
        isSum ? MatrixSum.self : method?.scope.streamed(for: parameters.shape)
    }

    /// The cost by the registered method.
    public var cost: UnitCost { cost(by: MergeMethod(named: method)) }

    /// The cost that a method's computation states, with what its passes read of every task.
    ///
    /// - Parameter method: The method of the operation's name; `nil` for a name that is not known.
    /// - Returns: The cost; that of reading nothing without a method, or for one of elements alone.
    public func cost(by method: MergeMethod?) -> UnitCost {
        guard !measuresTensor else { return measuringCost(by: method) }
        guard !readsSolution else { return solvedCost }
        let stated =
            measures
            ? method?.statistics?.cost(of: parameters.shape, models: tasks.count)
            : computation(by: method)?.cost(of: parameters.shape, models: tasks.count)
        guard let cost = stated else { return .streaming(inputBytes: 0, outputBytes: 0) }
        let sources = tasks.map(\.parameters)
        let (matrix, packed) = (parameters.elementCount, parameters.packedBytes)
        let factorBytesRead = packed.saturatingProduct(readsDouble ? 2 : 1)
        let (factorPasses, valuePasses) = (UInt64(cost.factorPasses), UInt64(cost.valuePasses))
        return UnitCost(
            multiplyAdds: cost.multiplyAdds + Double(valuePasses) * LowRankUpdate.multiplyAdds(of: sources)
                + factorMultiplyAdds,
            inputBytes: factorBytesRead.saturatingProduct(UInt64(tasks.count) * factorPasses).saturatingSum(
                packed.saturatingProduct(UInt64(inverseCount) * UInt64(cost.inversePasses))
            ).saturatingSum(matrix.saturatingProduct((UInt64(tasks.count) * valuePasses + 1) * 4)),
            outputBytes: measures ? 0 : matrix.saturatingProduct(UInt64(outputTypes.first?.byteCount ?? 4)),
            memoryBytes: UInt64(saturating: cost.numbers * 8).saturatingSum(UnitCost.streamingBytes)
                .saturatingSum(parameters.wholeBytes).saturatingSum(LowRankUpdate.memoryBytes(of: sources))
                .saturatingSum(factorBytes).saturatingSum(readsDouble ? packed : 0))
    }

    /// The cost of encoding a vector that is solved already, beside θ_0 and its bytes.
    private var solvedCost: UnitCost {
        let matrix = parameters.elementCount.saturatingProduct(8)
        return UnitCost(
            multiplyAdds: factorMultiplyAdds, inputBytes: matrix.saturatingProduct(2), outputBytes: matrix / 2,
            memoryBytes: matrix.saturatingProduct(4).saturatingSum(factorBytes).saturatingSum(UnitCost.streamingBytes))
    }

    /// The cost of measuring, which holds a piece of each model.
    private func measuringCost(by method: MergeMethod?) -> UnitCost {
        guard let measured = method?.scope.measured(arguments) else {
            return .streaming(inputBytes: 0, outputBytes: 0)
        }
        let cost = measured.measurement.cost(of: parameters.shape, models: tasks.count)
        let (models, sources) = (UInt64(base.count + tasks.count), tasks.map(\.parameters))
        let piece = min(parameters.elementCount, UInt64(ModelBlock.readElementsMax)).saturatingProduct(models * 8)
        let stored = (base + sources.joined()).reduce(UInt64(0)) { $0.saturatingSum($1.byteCount) }
        return UnitCost(
            multiplyAdds: cost.multiplyAdds + Double(cost.valuePasses) * LowRankUpdate.multiplyAdds(of: sources),
            inputBytes: stored.saturatingProduct(UInt64(cost.valuePasses)),
            outputBytes: 0,
            memoryBytes: UInt64(saturating: cost.numbers * 8).saturatingSum(UnitCost.streamingBytes)
                .saturatingSum(stored <= UInt64(ModelBlock.keptBytesMax) ? stored : piece)
                .saturatingSum(UInt64(models).saturatingProduct(UInt64(ModelBlock.capacity * 8)))
                .saturatingSum(tasks.reduce(0) { $0.saturatingSum(LowRankUpdate.memoryBytes(of: [$1.parameters])) }))
    }

    /// Multiply-adds of making two factors; those of fp64 count double.
    private var factorMultiplyAdds: Double {
        guard rank > 0 else { return 0 }
        let (rows, columns) = (parameters.shape.rows, parameters.shape.columns)
        return 2 * BalancedFactors.multiplyAdds(rows: rows, columns: columns)
            + 2 * Double(min(rank, rows, columns)) * Double(rows) * Double(columns)
    }

    /// Bytes of making two factors: beside the decomposition the vector,
    /// and copies of both factors while they are rounded.
    private var factorBytes: UInt64 {
        guard rank > 0 else { return 0 }
        let (rows, columns) = (parameters.shape.rows, parameters.shape.columns)
        let decomposition = BalancedFactors.byteCount(rows: rows, columns: columns, rank: rank)
        let rounded = UInt64(min(rank, rows, columns)).saturatingProduct(UInt64(rows) + UInt64(columns))
        return UInt64(decomposition).saturatingSum(parameters.elementCount.saturatingProduct(8))
            .saturatingSum(rounded.saturatingProduct(40))
    }

    /// Products of matrices, in which methods state their cost, or sums over the elements that are measured.
    public var kernel: UnitKernel { measuresTensor ? .elementSum : .matrixProduct }

    /// Seconds on a nominal core of its costliest stage that shows no progress from within.
    public var stageSeconds: Double {
        let computation = computation(by: MergeMethod(named: method))
        let stage = max(
            computation?.cost(of: parameters.shape, models: tasks.count).stageMultiplyAdds ?? 0, factorMultiplyAdds)
        return parameters.factors.reduce(UnitCost.stageSeconds(ofMultiplyAdds: stage)) {
            $0 + UnitCost.factorizationSeconds(of: $1.shape)
        }
    }

    // MARK: - Encoding

    /// Writes every field down.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireMergeOperation()
        switch parameters {
        case .block(let block): wire.block = block.wire
        case .tensor(let rows, let columns):
            wire.tensor.rows = UInt64(rows)
            wire.tensor.columns = UInt64(columns)
        }
        wire.base = WireParameterSources(base, &files)
        for task in tasks {
            var wireTask = WireMergeTask()
            wireTask.parameters = WireParameterSources(task.parameters, &files)
            wireTask.place = UInt32(task.place)
            wireTask.weight = task.weight
            wireTask.lambda = task.lambda
            wireTask.arguments = task.arguments.wire
            if let stream = task.randomStream { wireTask.randomStream = stream.key }
            wire.tasks.append(wireTask)
        }
        wire.scale = scale
        wire.damping = damping.wire
        wire.outputTypes = outputTypes.map(\.rawValue)
        wire.method = method
        wire.arguments = arguments.wire
        wire.divides = divides
        wire.inverses = UInt32(inverseCount)
        wire.rounds = UInt32(roundCount)
        wire.measures = measures
        wire.rank = UInt32(rank)
        wire.isSum = isSum
        wire.measuresTensor = measuresTensor
        wire.readsDouble = readsDouble
        wire.readsSolution = readsSolution
        return encoded(wire)
    }

    /// Reads what ``encode(_:)`` wrote.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireMergeOperation = try message(bytes)
        self.init(
            method: wire.method, arguments: try MergeArguments(wire.arguments),
            parameters: try MergedParameters(wire.parameters), base: try blockParameters(wire.base, files),
            tasks: try list(wire.tasks, "the list of tasks") { task throws(OperationError) in
                var decoded = Task(
                    parameters: try blockParameters(task.parameters, files),
                    place: try count(task.place, "a place", most: OperationLimits.listCountMax), weight: task.weight,
                    lambda: task.lambda, arguments: try MergeArguments(task.arguments))
                decoded.randomStream = try stream(task.randomStream)
                return decoded
            },
            scale: wire.scale, divides: wire.divides, damping: try DampingSpec(wire.damping),
            outputTypes: try list(wire.outputTypes, "the list of output types") { type throws(OperationError) in
                try word(type, "an element type")
            })
        inverseCount = try count(wire.inverses, "the number of inverses", most: max(1, tasks.count))
        guard [0, 1, tasks.count].contains(inverseCount) else {
            throw .malformed("a merge of \(tasks.count) tasks has \(inverseCount) inverses")
        }
        roundCount = try count(wire.rounds, "the number of rounds", most: OperationLimits.listCountMax)
        measures = wire.measures
        rank = try count(wire.rank, "the rank of factors", most: OperationLimits.elementsMax)
        isSum = wire.isSum
        measuresTensor = wire.measuresTensor
        readsDouble = wire.readsDouble
        readsSolution = wire.readsSolution
    }
}

/// The stream of a key; none for an empty one.
private func stream(_ key: [UInt32]) throws(OperationError) -> RandomStream? {
    guard !key.isEmpty else { return nil }
    guard let stream = RandomStream(key: key) else {
        throw .malformed("the key of random numbers has \(key.count) words")
    }
    return stream
}

extension MergeArguments {
    init(_ wire: [WireMergeArgument]) throws(OperationError) {
        var previous: String?
        let arguments = try list(wire, "the list of parameters") { argument throws(OperationError) in
            // One order, and so one encoding.
            if let previous, previous >= argument.name {
                throw .malformed("the parameter \"\(argument.name.excerpt)\" stands behind \"\(previous.excerpt)\"")
            }
            previous = argument.name
            return (argument.name, try MergeValue(argument))
        }
        self.init(Dictionary(arguments) { $1 })
    }

    var wire: [WireMergeArgument] {
        given.map { argument in
            var wire = WireMergeArgument()
            wire.name = argument.name
            switch argument.value {
            case .number(let value): wire.number = value
            case .truth(let value): wire.truth = value
            case .count(let value): wire.count = Int64(value)
            case .word(let value): wire.word = value
            }
            return wire
        }
    }
}

extension MergeValue {
    fileprivate init(_ wire: WireMergeArgument) throws(OperationError) {
        switch wire.value {
        case .number(let value):
            guard value.isFinite else { throw .malformed("a parameter is \(value)") }
            self = .number(value)
        case .truth(let value): self = .truth(value)
        case .count(let value): self = .count(Int(value))
        case .word(let value): self = .word(value)
        case nil: throw .malformed("the parameter \"\(wire.name.excerpt)\" has no value")
        }
    }
}

extension UnitOperation {
    /// The operation as a merge, for predictions of its time; `nil` for another one.
    public var merge: MergeOperation? { self as? MergeOperation }
}
