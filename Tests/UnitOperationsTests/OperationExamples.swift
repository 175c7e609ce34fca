import Identifiers
import KroneckerFactors
import LinearAlgebra
import RandomNumbers
import TaskArithmetic
import Testing

@testable import UnitOperations

/// An operation without fields at their defaults, with changes that together reach every field.
struct OperationExample: Sendable, CustomTestStringConvertible {
    let operation: any UnitOperation
    /// The operation, each time with one change.
    let variants: [any UnitOperation]

    var testDescription: String { operation.kind }

    init<Operation: UnitOperation>(_ operation: Operation, _ changes: [(inout Operation) -> Void]) {
        self.operation = operation
        variants = changes.map { change in
            var variant = operation
            change(&variant)
            return variant
        }
    }

    /// At least one example of each operation.
    static let all = [
        factor, factorOfSamples, indexFactor, indexFactorOfSamples, sumUses, importFactor, importCompressed,
        sumPartials, exactTrace, exactTraceOfIndices, balance, balanceAsStated,
        combine, accumulate, accumulateOptimally,
        importJointRows, importJointConstant, rowSquares, jointWeights, rowGram, rowGramOfTasks, jointEigenvectors,
        jointEigenvectorsOfTasks, rowCombination,
        rowCombinationOfTasks, invert, compress, penalty,
        penaltyOfFullBlock, jointDrift, jointDriftOfParameter, jointPenalty, norm, jointStart, jointStep,
        jointStepOfParameter, jointStepSum, merge, combineStatistics,
    ]

    /// The files of a job: those that the examples read, and one more.
    static let files = (0..<6).map { number in
        InputFile(
            path: "/data/\(number)", byteCount: 1 << 40, modificationTime: 5, headerDigest: digest(1),
            role: "capture of \"a\"")
    }

    static func digest(_ byte: UInt8) -> BlobDigest {
        BlobDigest(sha256: [UInt8](repeating: byte, count: BlobDigest.byteCount))
    }

    static func slice(_ file: Int, offset: UInt64 = 8, byteCount: UInt64 = 16) -> FileSlice {
        FileSlice(file: file, offset: offset, byteCount: byteCount)
    }

    static let partialFactor = FactorOperation(
        columns: 1, appendsOnes: true, elementType: .bf16,
        rowSlices: [
            RowSlice(slice: slice(4, offset: 1 << 40, byteCount: 200), rows: 100, firstRow: 1 << 40),
            RowSlice(slice: slice(2, byteCount: 2), rows: 1, firstRow: 7),
        ],
        chunkRows: 4096, reduction: .mean(positions: 197), divisor: nil)

    private static let factor: OperationExample = {
        var operation = partialFactor
        operation.divisor = 0.1
        return OperationExample(
            operation,
            factorChanges + [
                { $0.reduction = .mean(positions: 2) }, { $0.reduction = .sum(positions: 197) },
                { $0.reduction = .none }, { $0.sampleReduction = samples },
            ])
    }()

    private static let factorOfSamples: OperationExample = {
        var operation = partialFactor
        (operation.reduction, operation.sampleReduction, operation.divisor) = (.none, samples, 0.1)
        let changes = [0, 1].flatMap { number -> [(inout FactorOperation) -> Void] in
            [
                { $0.sampleReduction?.numbers[number].slice.file = 5 },
                { $0.sampleReduction?.numbers[number].slice.offset += 1 },
                { $0.sampleReduction?.numbers[number].slice.byteCount += 8 },
                { $0.sampleReduction?.numbers[number].isWide.toggle() },
                { $0.sampleReduction?.numbers[number].samples += 1 },
            ]
        }
        return OperationExample(
            operation,
            factorChanges + changes + [
                { $0.reduction = .mean(positions: 2) },
                { $0.sampleReduction?.isMean = false }, { $0.sampleReduction?.numbers.reverse() },
            ])
    }()

    private static let samples = SampleReduction(
        isMean: true,
        numbers: [
            SampleNumbers(slice: slice(3, byteCount: 200), isWide: false, samples: 9),
            SampleNumbers(slice: slice(1, byteCount: 8), isWide: true, samples: 1 << 40),
        ])

    private static var factorChanges: [(inout FactorOperation) -> Void] {
        [
            // The encoding has only whole rows, so the bytes of a slice change with its rows.
            { $0.columns = 2 }, { $0.appendsOnes = false }, { $0.elementType = .f16 },
            { $0.rowSlices[0].slice.file = 5 }, { $0.rowSlices[0].slice.offset += 1 },
            { $0.rowSlices[0].slice.byteCount += 1 }, { $0.rowSlices[0].rows += 1 },
            { $0.rowSlices[0].firstRow += 1 }, { $0.rowSlices[1].slice.file = 4 },
            { $0.rowSlices[1].slice.offset += 1 }, { $0.rowSlices[1].slice.byteCount += 1 },
            { $0.rowSlices[1].rows = 0 }, { $0.rowSlices[1].firstRow += 1 }, { $0.chunkRows = 1 },
            { $0.divisor = 0.1.nextUp }, { $0.divisor = nil }, { $0.rowSlices.removeLast() },
            { $0.rowSlices.reverse() }, { $0.isDiagonal = true }, { $0.givesDouble = true },
        ]
    }

    private static let indexFactor: OperationExample = {
        let operation = IndexFactorOperation(
            indexCount: 50_257, appendsOnes: true, indexType: .i64,
            rowSlices: [
                RowSlice(slice: slice(4, offset: 1 << 40, byteCount: 800), rows: 100, firstRow: 1 << 40),
                RowSlice(slice: slice(2, byteCount: 8), rows: 1, firstRow: 7),
            ],
            chunkRows: 4096, averagedPositions: 3, divisor: 0.1)
        let changes = [0, 1].flatMap { number -> [(inout IndexFactorOperation) -> Void] in
            [
                { $0.rowSlices[number].slice.file = 5 }, { $0.rowSlices[number].slice.offset += 1 },
                { $0.rowSlices[number].slice.byteCount += 1 }, { $0.rowSlices[number].rows += 1 },
                { $0.rowSlices[number].firstRow += 1 },
            ]
        }
        return OperationExample(
            operation,
            changes + [
                { $0.indexCount = 1 }, { $0.appendsOnes = false }, { $0.indexType = .i32 }, { $0.chunkRows = 1 },
                { $0.averagedPositions = 4 }, { $0.averagedPositions = nil }, { $0.divisor = 0.1.nextUp },
                { $0.sampleNumbers = samples.numbers }, { $0.rowSlices.reverse() }, { $0.givesDouble = true },
            ])
    }()

    private static let indexFactorOfSamples: OperationExample = {
        let operation = IndexFactorOperation(
            indexCount: 9, appendsOnes: true, indexType: .i64,
            rowSlices: [RowSlice(slice: slice(4, byteCount: 400), rows: 50, firstRow: 2)], chunkRows: 7,
            sampleNumbers: [samples.numbers[0]], divisor: 3)
        return OperationExample(
            operation,
            [
                { $0.rowSlices[0].slice.file = 5 }, { $0.rowSlices[0].slice.offset += 1 },
                { $0.rowSlices[0].slice.byteCount += 1 }, { $0.rowSlices[0].rows += 1 },
                { $0.rowSlices[0].firstRow += 1 }, { $0.indexCount = 1 }, { $0.appendsOnes = false },
                { $0.indexType = .i32 }, { $0.chunkRows = 1 }, { $0.divisor = 0.1 },
                { $0.sampleNumbers[0].slice.file = 5 }, { $0.sampleNumbers[0].slice.offset += 1 },
                { $0.sampleNumbers[0].slice.byteCount += 4 }, { $0.sampleNumbers[0].isWide.toggle() },
                { $0.sampleNumbers[0].samples += 1 }, { $0.averagedPositions = 2 }, { $0.givesDouble = true },
            ])
    }()

    private static let sumUses = OperationExample(
        SumUsesOperation(inputShape: .diagonal(50_257), gradientShape: .full(768), useCount: 2),
        [
            { $0.inputShape = .diagonal(1) }, { $0.inputShape = .full(50_257) }, { $0.gradientShape = .full(1) },
            { $0.gradientShape = .diagonal(768) }, { $0.useCount = 3 }, { $0.givesDouble = true },
        ])

    private static let importFactor = OperationExample(
        ImportOperation(shape: .full(3), elementType: .f64, isPacked: true, slice: slice(1, byteCount: 48)),
        [
            { $0.shape = .full(4) }, { $0.elementType = .f32 }, { $0.isPacked = false }, { $0.slice.file = 2 },
            { $0.slice.offset = 0 }, { $0.slice.byteCount = 49 }, { $0.shape = .diagonal(3) },
            { $0.compression = Compression(form: .int8) }, { $0.givesDouble = true },
        ])

    private static let importCompressed = OperationExample(
        ImportOperation(
            shape: .full(9), elementType: .f32, isPacked: true, slice: slice(1, byteCount: 72),
            compression: Compression(form: .lowRank(rank: 1), shift: 0.5)),
        [
            { $0.shape = .full(8) }, { $0.elementType = .f64 }, { $0.isPacked = false }, { $0.slice.file = 2 },
            { $0.slice.offset = 0 }, { $0.slice.byteCount = 71 }, { $0.compression?.shift = 0 },
            { $0.compression?.form = .lowRank(rank: 0) }, { $0.compression?.form = .blockDiagonal(blocks: 1) },
            { $0.compression?.form = .bf16 }, { $0.compression = nil }, { $0.givesDouble = true },
        ])

    private static let compress = OperationExample(
        CompressOperation(dimension: 769, form: .blockDiagonal(blocks: 8), strength: 0.5, repairs: true),
        [
            { $0.dimension = 768 }, { $0.form = .blockDiagonal(blocks: 9) }, { $0.form = .lowRank(rank: 8) },
            { $0.form = .int8 }, { $0.strength = 1 }, { $0.repairs = false },
        ])

    private static let sumPartials = OperationExample(
        SumPartialsOperation(
            shape: .full(3), elementType: .f64, slices: [slice(4, byteCount: 48), slice(1, offset: 99, byteCount: 48)],
            divisor: 10),
        [
            // The encoding has only whole triangles, so the bytes of a slice change with the dimension.
            { $0.shape = .full(4) }, { $0.elementType = .f32 }, { $0.slices[0].file = 5 }, { $0.slices[0].offset += 1 },
            { $0.slices[0].byteCount += 1 }, { $0.slices[1].file = 4 }, { $0.slices[1].offset += 1 },
            { $0.slices[1].byteCount += 1 }, { $0.divisor = 10.0.nextUp }, { $0.divisor = nil },
            { $0.slices.removeLast() }, { $0.slices.reverse() }, { $0.shape = .diagonal(3) }, { $0.givesDouble = true },
        ])

    private static let combine = OperationExample(
        CombineOperation(partCount: 2, shape: .full(3), divisor: 10),
        [
            { $0.partCount = 3 }, { $0.shape = .full(4) }, { $0.shape = .diagonal(3) }, { $0.divisor = 10.0.nextUp },
            { $0.givesDouble = true },
        ])

    private static let accumulate = OperationExample(
        AccumulateOperation(
            side: .gradient, shape: .full(768), weights: [3, 0.5], exclusions: [nil, 0, 1], scale: .mean),
        [
            { $0.side = .full }, { $0.side = .input }, { $0.shape = .full(1) }, { $0.shape = .diagonal(768) },
            { $0.weights[0] = 0 },
            { $0.weights[1] = 3 }, { $0.weights = [0.5, 3] }, { $0.exclusions[0] = 0 }, { $0.exclusions[1] = 1 },
            { $0.exclusions[2] = 0 }, { $0.exclusions[2] = nil }, { $0.exclusions = [] }, { $0.scale = .paper },
        ])

    private static let accumulateOptimally = OperationExample(
        OptimalAccumulateOperation(
            inputShape: .full(3), gradientShape: .full(4), weights: [1, 2], rank: 2, exclusions: [1, nil], scale: .paper
        ),
        [
            { $0.inputShape = .full(4) }, { $0.gradientShape = .full(3) }, { $0.inputShape = .diagonal(3) },
            { $0.gradientShape = .diagonal(4) }, { $0.weights[0] = 2 }, { $0.weights[1] = 1 },
            { $0.rank = 1 }, { $0.exclusions[0] = 0 }, { $0.exclusions[1] = 0 }, { $0.exclusions.reverse() },
            { $0.scale = .mean },
        ])

    private static let invert = OperationExample(
        InvertOperation(shape: .full(769), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 1e-3)),
        [
            { $0.shape = .full(768) }, { $0.shape = .diagonal(769) }, { $0.isFullBlock = false },
            { $0.damping.rule = .relative },
            { $0.damping.rule = .pi }, { $0.damping.value = 0 },
        ])

    private static let update = LowRankUpdate(
        up: LowRankUpdate.Factor(elementType: .f32, slice: slice(2, byteCount: 56)),
        down: LowRankUpdate.Factor(elementType: .bf16, slice: slice(4, byteCount: 28)), rows: 7, columns: 7, rank: 2,
        scale: 0.5, isTransposed: true, firstElement: 9)

    static let parameters: ParameterSources = {
        var updated = TensorSource(elementType: .f64, slice: slice(1, offset: 1 << 62, byteCount: 24))
        updated.update = update
        return [TensorSource(elementType: .f16, slice: slice(3)), updated]
    }()

    private static let penalty = OperationExample(
        PenaltyOperation(
            block: .linear(outputs: 3072, inputs: 768, hasBias: true), base: parameters,
            checkpoints: [parameters, [parameters[1]]], unweighted: [0]),
        [
            { $0.unweighted[0] = 1 }, { $0.block = .linear(outputs: 3071, inputs: 768, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 767, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: false) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .input) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .gradient) },
            { $0.block = .full(dimension: 768) }, { $0.checkpoints.removeLast() }, { $0.checkpoints.reverse() },
        ] + parameterChanges(\.base) + parameterChanges(\.checkpoints[0]) + sourceChanges(\.checkpoints[1][0])
            + updateChanges(\.checkpoints[1][0]))

    private static let penaltyOfFullBlock = OperationExample(
        PenaltyOperation(
            block: .full(dimension: 7), base: [parameters[0]], checkpoints: [[parameters[1]], [parameters[0]]],
            unweighted: [0]),
        [{ $0.unweighted[0] = 1 }, { $0.block = .full(dimension: 8) }, { $0.checkpoints[1] = [] }]
            + sourceChanges(\.base[0]) + sourceChanges(\.checkpoints[0][0]) + updateChanges(\.checkpoints[0][0])
            + sourceChanges(\.checkpoints[1][0]))

    static let jointDrift = OperationExample(
        JointDriftOperation(
            block: .linear(outputs: 3072, inputs: 768, hasBias: true), base: parameters, checkpoint: parameters,
            isUnweighted: true, inputRank: 32, gradientRank: 128, positions: 197, measuresInside: true),
        [
            { $0.pooledRows = 4.5 },
            { $0.block = .linear(outputs: 3071, inputs: 768, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 767, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: false) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .input) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .gradient) },
            { $0.isUnweighted = false }, { $0.inputRank = 31 }, { $0.gradientRank = 127 }, { $0.positions = 1 },
            { $0.measuresInside = false },
        ] + parameterChanges(\.base) + parameterChanges(\.checkpoint))

    static let jointStart = OperationExample(
        JointStartOperation(
            curvature: layerCurvature, base: parameters,
            vectors: [.init(parameters: parameters, weight: 0.5), .init(parameters: parameters, weight: -1)]),
        of(\.curvature, layerCurvatureChanges) + [
            { $0.vectors[0].weight = 0.25 }, { $0.vectors[1].weight = 2 }, { $0.vectors.reverse() },
        ]
            + parameterChanges(\.base) + parameterChanges(\.vectors[0].parameters)
            + parameterChanges(\.vectors[1].parameters))

    static let jointDriftOfParameter = OperationExample(
        JointDriftOperation(
            block: .full(dimension: 7), base: [parameters[0]], checkpoint: [parameters[1]], isUnweighted: false,
            inputRank: 32, gradientRank: 128, positions: 1, measuresInside: false),
        [
            { $0.block = .full(dimension: 8) }, { $0.isUnweighted = true }, { $0.inputRank = 31 },
            { $0.gradientRank = 127 }, { $0.positions = 2 }, { $0.measuresInside = true }, { $0.base = [] },
            { $0.pooledRows = 4.5 },
            { $0.checkpoint = [] },
        ] + sourceChanges(\.base[0]) + sourceChanges(\.checkpoint[0]) + updateChanges(\.checkpoint[0]))

    private static let norm = OperationExample(
        NormOperation(base: parameters, checkpoints: [parameters, [parameters[1]]]),
        [{ $0.checkpoints.removeLast() }, { $0.checkpoints.reverse() }] + parameterChanges(\.base)
            + parameterChanges(\.checkpoints[0]) + sourceChanges(\.checkpoints[1][0])
            + updateChanges(\.checkpoints[1][0]))

    private static let merge: OperationExample = {
        var example = MergeOperation(
            method: "kfac",
            arguments: MergeArguments([
                "a": .number(0.5), "b": .truth(true), "c": .count(300), "d": .word("adam"),
            ]),
            parameters: .block(.linear(outputs: 2, inputs: 3, hasBias: true)), base: parameters,
            tasks: [
                .init(
                    parameters: parameters, place: 2, weight: -1, lambda: 0.25,
                    arguments: MergeArguments(["t": .number(0.25)])),
                .init(
                    parameters: parameters, place: 4, weight: 0.5, lambda: 0.75,
                    arguments: MergeArguments(["t": .number(0.75)])),
            ],
            scale: 0.3, damping: DampingSpec(rule: .pi, value: 0.5), outputTypes: [.bf16, .f32])
        (example.inverseCount, example.roundCount, example.measures) = (2, 3, true)
        example.tasks[0].randomStream = RandomStream(key: [1, 2, 3, 4])
        example.tasks[1].randomStream = RandomStream(key: [5, 6, 7, 8])
        let changes: [(inout MergeOperation) -> Void] = [
            { $0.tasks[0].place = 0 }, { $0.tasks[1].place = 5 }, { $0.inverseCount = 1 }, { $0.inverseCount = 0 },
            { $0.roundCount = 0 }, { $0.measures = false }, { $0.rank = 5 }, { $0.isSum = true },
            { $0.measuresTensor = true }, { $0.readsDouble = true }, { $0.readsSolution = true },
            { $0.parameters = .block(.linear(outputs: 3, inputs: 3, hasBias: true)) },
            { $0.parameters = .block(.linear(outputs: 2, inputs: 2, hasBias: true)) },
            { $0.parameters = .block(.linear(outputs: 2, inputs: 3, hasBias: false)) },
            { $0.parameters = .block(.linear(outputs: 2, inputs: 3, hasBias: true, diagonals: .input)) },
            { $0.parameters = .block(.linear(outputs: 2, inputs: 3, hasBias: true, diagonals: .gradient)) },
            { $0.parameters = .tensor(rows: 2, columns: 4) }, { $0.parameters = .tensor(rows: 4, columns: 2) },
            { $0.divides = true },
            { $0.tasks[0].weight = 1 }, { $0.tasks[0].lambda = 0.5 }, { $0.tasks[1].weight = -0.5 },
            { $0.tasks[1].lambda = 0.25 }, { $0.tasks.reverse() }, { $0.scale = -0.3 },
            { $0.damping.rule = .relative }, { $0.damping.value = 0.25 }, { $0.outputTypes[0] = .f32 },
            { $0.outputTypes[1] = .bf16 }, { $0.outputTypes.removeLast() }, { $0.method = "regmean" },
            { $0.tasks[0].arguments = MergeArguments(["t": .number(1)]) },
            { $0.tasks[0].arguments = MergeArguments(["u": .number(0.25)]) },
            { $0.tasks[1].arguments = MergeArguments(["t": .number(1)]) },
            { $0.tasks[1].arguments = MergeArguments(["u": .number(0.75)]) },
            { $0.tasks[0].randomStream = nil },
        ]
        let keyChanges = (0..<2).flatMap { task in
            (0..<4).map { word -> (inout MergeOperation) -> Void in
                { operation in
                    guard var key = operation.tasks[task].randomStream?.key else { return }
                    key[word] += 9
                    operation.tasks[task].randomStream = RandomStream(key: key)
                }
            }
        }
        let values: [String: MergeValue] = [
            "a": .number(0.5), "b": .truth(true), "c": .count(300), "d": .word("adam"),
        ]
        let others: [(String, String, MergeValue)] = [
            ("a", "A", .number(0.25)), ("b", "bb", .truth(false)), ("c", "cc", .count(3)), ("d", "e", .word("sgd")),
        ]
        let argumentChanges = others.flatMap { name, other, value -> [(inout MergeOperation) -> Void] in
            let changed = values.merging([name: value]) { $1 }
            let renamed = values.filter { $0.key != name }.merging([other: values[name] ?? value]) { $1 }
            return [{ $0.arguments = MergeArguments(changed) }, { $0.arguments = MergeArguments(renamed) }]
        }
        return OperationExample(
            example,
            changes + keyChanges + argumentChanges + parameterChanges(\.base) + parameterChanges(\.tasks[0].parameters)
                + parameterChanges(\.tasks[1].parameters))
    }()

    private static let combineStatistics = OperationExample(
        CombineStatisticsOperation(method: "kfac", round: 1, partCount: 3),
        [{ $0.method = "regmean" }, { $0.round = 2 }, { $0.partCount = 4 }])

    private static func parameterChanges<Operation>(
        _ path: WritableKeyPath<Operation, ParameterSources>
    ) -> [(inout Operation) -> Void] {
        sourceChanges(path.appending(path: \.[0])) + sourceChanges(path.appending(path: \.[1]))
            + updateChanges(path.appending(path: \.[1]))
            + [{ $0[keyPath: path].reverse() }, { $0[keyPath: path].removeLast() }]
    }

    private static func updateChanges<Operation>(
        _ path: WritableKeyPath<Operation, TensorSource>
    ) -> [(inout Operation) -> Void] {
        let update = path.appending(path: \.update!)
        return [
            { $0[keyPath: update].scale = 0.25 },
            { $0[keyPath: update].firstElement = 8 }, { $0[keyPath: update].isTransposed = false },
            { $0[keyPath: update].rows = 8 }, { $0[keyPath: update].columns = 8 }, { $0[keyPath: update].rank = 1 },
            { $0[keyPath: update].up.elementType = .bf16 }, { $0[keyPath: update].up.slice.file = 5 },
            { $0[keyPath: update].up.slice.offset = 9 }, { $0[keyPath: update].up.slice.byteCount = 28 },
            { $0[keyPath: update].down = nil }, { $0[keyPath: update].down?.elementType = .f32 },
            { $0[keyPath: update].down?.slice.file = 5 }, { $0[keyPath: update].down?.slice.offset = 9 },
            { $0[keyPath: update].down?.slice.byteCount = 14 },
        ]
    }

    /// The first and the last element of a slice.
    private static func ends(of source: TensorSource) -> ElementRuns {
        let elements = Int(source.slice.byteCount) / source.elementType.byteCount
        return ElementRuns(from: 0, length: 1, distance: elements - 1, count: 2)
    }

    private static func sourceChanges<Operation>(
        _ path: WritableKeyPath<Operation, TensorSource>
    ) -> [(inout Operation) -> Void] {
        [
            { $0[keyPath: path].elementType = .bf16 }, { $0[keyPath: path].layout = .inOut },
            { $0[keyPath: path].slice.file = 5 },
            { $0[keyPath: path].slice.offset -= 1 }, { $0[keyPath: path].slice.byteCount += 1 },
            { $0[keyPath: path].runs = ends(of: $0[keyPath: path]) },
            { $0[keyPath: path].update = $0[keyPath: path].update == nil ? update : nil },
        ]
    }
}
