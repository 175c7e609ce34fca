import JobPlan
public import LinearAlgebra
public import TaskArithmetic
public import UnitOperations

/// A part of a merge, described so far that its method can be run on drawn numbers to see how long it takes.
///
/// Methods differ too much for one rate: one adds elements up, and another one decomposes matrices.
public struct MergeSample: Sendable {
    /// What is done with the part.
    public enum Step: Hashable, Sendable {
        /// It is merged element by element; where `isMeasured`, with numbers that were measured of the whole part.
        case elements(isMeasured: Bool)
        /// These numbers are measured.
        case measurement
        /// Statistics of the whole model are measured, in a round.
        case statistics(round: Int)
        /// It is merged as a whole.
        case whole
    }

    /// What is run.
    public let step: Step
    /// The method.
    public let method: MergeMethod
    /// The models with their types, the base first where it counts as one.
    public let models: [(model: MergedModel, type: ElementType)]
    /// The type of θ_0; `nil` where it is not read beside the models.
    public let baseType: ElementType?
    /// The type of the merged elements.
    public let outputType: ElementType
    /// The shape of the part.
    public let shape: MergeProblem.Shape
    /// Whether the method divides by the weights.
    public let divides: Bool
    /// The job's own parameters.
    public let arguments: MergeArguments
    /// How factors are damped.
    public let damping: DampingSpec

    /// Multiply-adds of a run on drawn numbers; the sides of a larger part are halved.
    private static let mostMultiplyAdds = 3e9
    /// The most numbers that such a run holds: 256 MiB in fp64.
    private static let mostNumbers = 32e6

    /// The part of a worker's unit; `nil` for another operation, an unknown method, the factors of an adapter, and a
    /// unit that only reads what others solved.
    public init?(_ operation: any UnitOperation) {
        guard let operation = operation.merge, operation.rank == 0, !operation.readsSolution,
            let method = MergeMethod(named: operation.method)
        else { return nil }
        step =
            operation.measuresTensor
            ? .measurement : operation.measures ? .statistics(round: operation.roundCount) : .whole
        self.method = method
        models = operation.tasks.map { task in
            (
                MergedModel(
                    place: task.place, weight: task.weight, lambda: task.lambda, arguments: task.arguments,
                    randomStream: task.randomStream), task.parameters.first?.elementType ?? .f32
            )
        }
        baseType = operation.base.first?.elementType
        outputType = operation.outputTypes.first ?? .f32
        shape = operation.parameters.shape
        divides = operation.divides
        arguments = operation.arguments
        damping = operation.damping
    }

    /// A tensor that the coordinator merges element by element.
    init(
        elementsOf tensor: TensorInventory, _ type: ElementType, isMeasured: Bool, in plan: JobPlan,
        _ settings: MergeSettings
    ) {
        let spec = plan.spec
        var models: [(model: MergedModel, type: ElementType)] = spec.mergedTasks.enumerated().compactMap {
            let (position, task) = ($0.offset, $0.element)
            let weight = settings.weight(of: task, tensor: tensor.name)
            let own = plan.inventory.checkpoints[task.name]?.tensors[tensor.name]
            guard weight != 0, let type = own?.floatingType else { return nil }
            let model = MergedModel(
                place: position + 1, weight: weight, arguments: settings.arguments(of: task, tensor: tensor.name),
                randomStream: settings.randomStream(of: task, tensor: tensor.name, part: tensor.name))
            return (model, type)
        }
        if let weight = settings.baseWeight(tensor: tensor.name), weight != 0 || spec.isBaseOrigin {
            let arguments = settings.arguments(of: spec.listedBase, tensor: tensor.name)
            models.insert((MergedModel(place: 0, weight: weight, arguments: arguments), type), at: 0)
        }
        step = .elements(isMeasured: isMeasured)
        method = spec.method
        self.models = models
        baseType = type
        outputType = spec.outputType ?? type
        shape = .matrix(rows: 1, columns: tensor.elementCount)
        divides = settings.divides(tensor: tensor.name)
        arguments = settings.arguments(tensor: tensor.name)
        damping = spec.curvature.damping
    }
}

// MARK: - What it costs

extension MergeSample {
    /// The cost that the computation states for a shape; `nil` for one that works element by element.
    public func cost(of shape: MergeProblem.Shape) -> MergeCost? {
        switch step {
        case .elements: nil
        case .measurement:
            method.scope.measured(arguments)?.measurement.cost(of: shape, models: models.count)
        case .statistics: method.statistics?.cost(of: shape, models: models.count)
        case .whole: method.scope.streamed(for: shape)?.cost(of: shape, models: models.count)
        }
    }

    /// What the seconds grow with: elements where each is looked at alone, else multiply-adds and the elements that are
    /// read.
    public func work(of shape: MergeProblem.Shape) -> Double {
        let elements = Double(shape.rows) * Double(shape.columns)
        switch step {
        case .elements, .measurement: return elements
        case .statistics, .whole:
            let cost = cost(of: shape)
            return (cost?.multiplyAdds ?? 0) + elements * Double(models.count * (cost?.valuePasses ?? 1) + 1)
        }
    }

    /// The work of the part.
    public var work: Double { work(of: shape) }

    /// The shape of a run on drawn numbers, and of a smaller one that tells how its seconds grow.
    public var rehearsedShapes: (larger: MergeProblem.Shape, smaller: MergeProblem.Shape?) {
        switch step {
        case .elements, .measurement: return (.matrix(rows: 1, columns: ModelBlock.readElementsMax), nil)
        case .statistics, .whole:
            var larger = shape
            while work(of: larger) > Self.mostMultiplyAdds || numberCount(of: larger) > Self.mostNumbers,
                let half = larger.half
            { larger = half }
            return (larger, larger == shape ? nil : larger.half)
        }
    }

    /// The numbers of all models that a run on drawn numbers holds, with those of the factors.
    private func numberCount(of shape: MergeProblem.Shape) -> Double {
        let factors = shape.factors.reduce(0.0) { sum, factor in
            let side = Double(factor.dimension)
            return sum + (factor.isDiagonal ? side : side * (side + 1) / 2)
        }
        return Double(models.count) * (Double(shape.rows) * Double(shape.columns) + factors)
    }

    /// The bytes of the models' and the base's values that one pass reads.
    func bytesRead(elements: Double) -> Double {
        var read = models
        // The coordinator reads the base once, whatever it counts for.
        if case .elements = step { read.removeAll { $0.model.place == 0 } }
        let types = read.map(\.type) + [baseType].compactMap { $0 }
        return elements * Double(types.reduce(0) { $0 + $1.byteCount })
    }

    /// Everything that decides the pace of the part; parts of one kind have one pace.
    public var kind: String {
        let types = Dictionary(grouping: models, by: \.type.rawValue).map { "\($0.value.count) \($0.key)" }.sorted()
        let parameters = [arguments, models.last?.model.arguments ?? MergeArguments()].map { arguments in
            arguments.given.map { "\($0.name)=\(Self.word(of: $0.value))" }.joined(separator: " ")
        }
        var words = ["\(step)", types.joined(separator: " "), baseType?.rawValue ?? "-", outputType.rawValue]
        words += parameters + [divides ? "divides" : ""]
        switch step {
        case .elements, .measurement: break
        case .statistics, .whole: words.append(rehearsedShapes.larger.words)
        }
        return "\(method.name): \(words.joined(separator: ", "))"
    }

    /// A value as far as it decides the pace: numbers do so only where one lets a method skip work.
    private static func word(of value: MergeValue) -> String {
        switch value {
        case .number(let number): number == 0 || number == 1 ? value.description : "number"
        case .truth, .count, .word: value.description
        }
    }
}

extension MergeProblem.Shape {
    /// The shape as a part of a kind's name.
    fileprivate var words: String {
        let diagonals = factors.contains(where: \.isDiagonal) ? " diagonals" : ""
        return "\(rows)×\(columns) \(factors.count) factors\(diagonals)"
    }

    /// The shape of half as many rows and columns, where these are many; `nil` for a small one.
    fileprivate var half: MergeProblem.Shape? {
        guard max(rows, columns) > SymmetricShape.leastHalved else { return nil }
        switch self {
        case .matrix(let rows, let columns):
            return .matrix(rows: SymmetricShape.half(of: rows), columns: SymmetricShape.half(of: columns))
        case .layer(let outputs, let inputs): return .layer(outputs: outputs.half, inputs: inputs.half)
        case .parameter(let count): return .parameter(count: SymmetricShape.half(of: count))
        }
    }
}

extension SymmetricShape {
    /// A dimension up to this one is not halved: with few rows or columns a method does other work.
    fileprivate static let leastHalved = 64

    fileprivate static func half(of dimension: Int) -> Int { dimension > leastHalved ? dimension / 2 : dimension }

    fileprivate var half: SymmetricShape {
        SymmetricShape(dimension: Self.half(of: dimension), isDiagonal: isDiagonal)
    }
}
