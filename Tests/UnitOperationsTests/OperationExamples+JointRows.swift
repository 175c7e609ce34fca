import LinearAlgebra

@testable import UnitOperations

extension OperationExample {
    /// Captured rows of 51 samples of 2 positions.
    static let capturedRows = JointRows(
        columns: 3, positions: 2, appendsOnes: true,
        source: .captured(
            .bf16,
            [
                RowSlice(slice: slice(4, offset: 1 << 40, byteCount: 600), rows: 100, firstRow: 1 << 40),
                RowSlice(slice: slice(2, byteCount: 12), rows: 2, firstRow: 7),
            ], divisor: 0.1))

    /// The pseudo-rows of two tasks.
    static let summedRows = JointRows(
        columns: 3, positions: 2, appendsOnes: false,
        source: .parts([.init(rows: 4, scale: 0.5), .init(rows: 3, scale: 0.25)]))

    private typealias Change<Value> = (inout Value) -> Void

    private static func slices(_ change: @escaping (inout [RowSlice]) -> Void) -> Change<JointRows> {
        { rows in
            guard case .captured(let type, var slices, let divisor) = rows.source else { return }
            change(&slices)
            rows.source = .captured(type, slices, divisor: divisor)
        }
    }

    private static func parts(_ change: @escaping (inout [JointRows.Part]) -> Void) -> Change<JointRows> {
        { rows in
            guard case .parts(var parts) = rows.source else { return }
            change(&parts)
            rows.source = .parts(parts)
        }
    }

    private static var capturedChanges: [Change<JointRows>] {
        [0, 1].flatMap { number in
            [
                slices { $0[number].slice.file = 5 }, slices { $0[number].slice.offset += 1 },
                slices { $0[number].slice.byteCount += 1 }, slices { $0[number].rows += 2 },
                slices { $0[number].firstRow += 1 },
            ]
        } + [
            { $0.columns = 4 }, { $0.positions = 1 }, { $0.appendsOnes = false },
            { rows in
                guard case .captured(_, let slices, let divisor) = rows.source else { return }
                rows.source = .captured(.f16, slices, divisor: divisor)
            },
            { rows in
                guard case .captured(let type, let slices, let divisor) = rows.source else { return }
                rows.source = .captured(type, slices, divisor: divisor.nextUp)
            },
        ]
    }

    private static var summedChanges: [Change<JointRows>] {
        [0, 1].flatMap { number in
            [parts { $0[number].rows += 1 }, parts { $0[number].scale = 0.75 }]
        } + [{ $0.columns = 4 }, { $0.positions = 1 }, { $0.appendsOnes = true }]
    }

    private static func of<Operation>(
        _ rows: WritableKeyPath<Operation, JointRows>, _ changes: [Change<JointRows>]
    ) -> [Change<Operation>] {
        changes.map { change in { change(&$0[keyPath: rows]) } }
    }

    static let importJointRows = OperationExample(
        ImportJointRowsOperation(
            content: .inputs,
            parts: [
                .init(rows: slice(4, offset: 1 << 40, byteCount: 120), rank: 2, squares: slice(2, byteCount: 12)),
                .init(rows: slice(1, byteCount: 60), rank: 1, squares: slice(3, byteCount: 12), share: 0.25),
            ], positions: 3, columns: 5),
        importChanges + [
            { $0.content = .gradients }, { $0.parts[1].share = 0.5 }, { $0.parts[1].rank = 2 },
            { $0.parts[1].rows.file = 5 }, { $0.parts[1].rows.offset += 1 }, { $0.parts[1].rows.byteCount += 4 },
            { $0.parts[1].squares.file = 5 }, { $0.parts[1].squares.offset += 1 },
            { $0.parts[1].squares.byteCount += 4 },
        ])

    static let importJointConstant = OperationExample(
        ImportJointRowsOperation(
            content: .constant,
            parts: [.init(rows: slice(4, byteCount: 8), rank: 2, squares: slice(2, byteCount: 4))], positions: 1,
            columns: 1),
        importChanges + [{ $0.content = .inputs }])

    private static var importChanges: [Change<ImportJointRowsOperation>] {
        [
            { $0.parts[0].rows.file = 5 }, { $0.parts[0].rows.offset += 1 }, { $0.parts[0].rows.byteCount += 4 },
            { $0.parts[0].rank = 3 }, { $0.parts[0].share = 0.5 },
            { $0.positions = 4 }, { $0.columns = 4 }, { $0.parts[0].squares.file = 5 },
            { $0.parts[0].squares.offset += 1 }, { $0.parts[0].squares.byteCount += 4 }, { $0.pooledRows = 4.5 },
        ]
    }

    static let rowSquares = OperationExample(
        RowSquaresOperation(rows: capturedRows), of(\.rows, capturedChanges))

    static let jointWeights = OperationExample(
        JointWeightsOperation(taskCount: 2, layerCount: 3, parameterCount: 1, known: 0.5),
        [{ $0.taskCount = 1 }, { $0.layerCount = 2 }, { $0.parameterCount = 2 }, { $0.known = 1 }])

    static let rowGram = OperationExample(
        RowGramOperation(rows: capturedRows, weightListCount: 2),
        of(\.rows, capturedChanges) + [{ $0.weightListCount = 1 }, { $0.chunkColumns = 4096 }])

    static let rowGramOfTasks = OperationExample(
        RowGramOperation(rows: summedRows, weightListCount: 0),
        of(\.rows, summedChanges) + [{ $0.weightListCount = 1 }, { $0.chunkColumns = 4096 }])

    static let jointEigenvectors = OperationExample(
        JointEigenvectorsOperation(rows: 7, rank: 2, gramCount: 3, constant: .equal(0.5)),
        [
            { $0.rows = 8 }, { $0.rank = 1 }, { $0.gramCount = 4 }, { $0.constant = .equal(0.25) },
            { $0.constant = nil },
        ])

    static let jointEigenvectorsOfTasks: OperationExample = {
        func parts(_ change: @escaping (inout [JointRows.Part]) -> Void) -> Change<JointEigenvectorsOperation> {
            { operation in
                guard case .parts(var parts) = operation.constant else { return }
                change(&parts)
                operation.constant = .parts(parts)
            }
        }
        return OperationExample(
            JointEigenvectorsOperation(
                rows: 7, rank: 2, gramCount: 3,
                constant: .parts([.init(rows: 4, scale: 0.5), .init(rows: 3, scale: 0.25)])),
            [
                { $0.rows = 8 }, { $0.rank = 1 }, { $0.gramCount = 4 }, parts { $0[0].rows = 5 },
                parts { $0[0].scale = 0.75 }, parts { $0[1].rows = 2 }, parts { $0[1].scale = 0.75 },
            ])
    }()

    static let jointPenalty = OperationExample(
        JointPenaltyOperation(partCount: 3, inputRank: 32, gradientRank: 128),
        [{ $0.partCount = 2 }, { $0.inputRank = 31 }, { $0.gradientRank = 127 }])

    static let rowCombination = OperationExample(
        RowCombinationOperation(rows: capturedRows, rank: 2),
        of(\.rows, capturedChanges) + [{ $0.rank = 3 }, { $0.chunkColumns = 4096 }])

    static let rowCombinationOfTasks = OperationExample(
        RowCombinationOperation(rows: summedRows, rank: 2),
        of(\.rows, summedChanges) + [{ $0.rank = 3 }, { $0.chunkColumns = 4096 }])

    // MARK: - Merges

    /// The joint curvature of two tasks in a layer.
    static let layerCurvature = JointCurvature(
        block: .linear(outputs: 3072, inputs: 768, hasBias: true), positions: 197,
        tasks: [
            .init(inputRank: 32, gradientRank: 128, lambda: 0.25),
            .init(inputRank: 16, gradientRank: 64, lambda: 0.75, pooledRows: 3.5),
        ], floor: .factors(0.25))

    static var layerCurvatureChanges: [(inout JointCurvature) -> Void] {
        [0, 1].flatMap { task -> [(inout JointCurvature) -> Void] in
            [
                { $0.tasks[task].inputRank += 1 }, { $0.tasks[task].gradientRank += 1 },
                { $0.tasks[task].lambda = 0.5 }, { $0.tasks[task].pooledRows = 4.5 },
            ]
        } + [
            { $0.positions = 196 }, { $0.floor = .none }, { $0.floor = .complement }, { $0.floor = .factors(0.5) },
            { $0.readsDouble = true }, { $0.tasks.reverse() },
            { $0.block = .linear(outputs: 3071, inputs: 768, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 767, hasBias: true) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: false) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .input) },
            { $0.block = .linear(outputs: 3072, inputs: 768, hasBias: true, diagonals: .gradient) },
        ]
    }

    static func of<Operation>(
        _ curvature: WritableKeyPath<Operation, JointCurvature>, _ changes: [(inout JointCurvature) -> Void]
    ) -> [(inout Operation) -> Void] {
        changes.map { change in { change(&$0[keyPath: curvature]) } }
    }

    static let jointStep = OperationExample(
        JointStepOperation(curvature: layerCurvature, isFirst: true),
        of(\.curvature, layerCurvatureChanges) + [{ $0.isFirst = false }])

    static let jointStepOfParameter = OperationExample(
        JointStepOperation(
            curvature: JointCurvature(
                block: .full(dimension: 7), positions: 1,
                tasks: [.init(inputRank: 32, gradientRank: 128, lambda: 1)], floor: .complement), isFirst: false),
        of(
            \.curvature,
            [
                { $0.block = .full(dimension: 8) }, { $0.floor = .none }, { $0.floor = .factors(1) },
                { $0.readsDouble = true }, { $0.tasks[0].inputRank = 31 }, { $0.tasks[0].gradientRank = 127 },
                { $0.tasks[0].lambda = 0.5 }, { $0.tasks[0].pooledRows = 4.5 }, { $0.positions = 2 },
            ]) + [{ $0.isFirst = true }])

    static let jointStepSum = OperationExample(
        JointStepSumOperation(
            partCount: 3,
            tasks: [
                .init(inputRank: 32, gradientRank: 128, lambda: 0.25),
                .init(inputRank: 16, gradientRank: 64, lambda: 0.75),
            ], number: 2, tolerance: 1e-6, stepsMax: 30),
        [
            { $0.partCount = 2 }, { $0.tasks.reverse() }, { $0.tasks.removeLast() }, { $0.number = 1 },
            { $0.number = 0 }, { $0.tolerance = 1e-5 }, { $0.stepsMax = 29 },
        ]
            + [0, 1].flatMap { task -> [(inout JointStepSumOperation) -> Void] in
                [
                    { $0.tasks[task].inputRank += 1 }, { $0.tasks[task].gradientRank += 1 },
                    { $0.tasks[task].lambda = 0.5 }, { $0.tasks[task].pooledRows = 4.5 },
                ]
            })
}
