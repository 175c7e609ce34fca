import SwiftProtobuf
import Testing

@testable import UnitOperations

/// Values of joint rows that the schema allows and the operations refuse, with the whole sentence.
struct MalformedJointRowsTests {
    private func expect<Wire: Message>(
        _ problem: String, _ example: OperationExample, as wire: Wire.Type,
        sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout Wire) -> Void
    ) throws {
        var encoded = EncodedOperation(example.operation)
        var message = try Wire(serializedBytes: encoded.bytes)
        change(&message)
        encoded.bytes = try message.serializedBytes()
        let error = #expect(throws: OperationError.self, sourceLocation: sourceLocation) { try encoded.decoded() }
        #expect(error == .malformed(problem), sourceLocation: sourceLocation)
    }

    @Test func `joint rows fill whole samples, of captures or of tasks`() throws {
        func expectRows(_ problem: String, _ change: (inout WireJointRows) -> Void) throws {
            try expect(problem, .rowGram, as: WireRowGramOperation.self) { change(&$0.rows) }
        }
        try expectRows("joint rows have 2 positions of 0 columns") { $0.columns = 0 }
        try expectRows("joint rows have 0 positions of 3 columns") { $0.positions = 0 }
        try expectRows("joint rows have 2147483648 positions of 3 columns") {
            $0.positions = 1 << 31
        }
        try expectRows("a slice of 99 rows has samples of 2 positions") { $0.slices[0].rows = 99 }
        try expectRows("a slice of 98 rows has 600 bytes") { $0.slices[0].rows = 98 }
        try expectRows("there are 0 joint rows; expected 1 to 8192") { $0.slices = [] }
        try expectRows("there are 8194 joint rows; expected 1 to 8192") { $0.slices[0].rows = 16_386 }
        try expectRows("a divisor is not positive") { $0.divisor = 0 }
        try expectRows("an element type is \"F8\"") { $0.elementType = "F8" }
        try expectRows("joint rows are captured, and those of tasks") { $0.parts = [WireJointRowPart()] }
        try expect(
            "a part of joint rows has 0 rows times 0.5", .rowGramOfTasks, as: WireRowGramOperation.self
        ) { $0.rows.parts[0].rows = 0 }
        try expect(
            "a part of joint rows has 4 rows times nan", .rowGramOfTasks, as: WireRowGramOperation.self
        ) { $0.rows.parts[0].scale = .nan }
        try expect(
            "squares are those of captured rows", .rowSquares, as: WireRowSquaresOperation.self
        ) { $0.rows = OperationExample.summedWire }
    }

    @Test func `chunks are whole products, and combinations are at most as many as the rows`() throws {
        for columns: UInt32 in [0, 5, 7, 4096] {
            try expect(
                "a chunk of joint rows has \(columns) of 6 columns", .rowGram, as: WireRowGramOperation.self
            ) { $0.chunkColumns = columns }
        }
        try expect("0 combinations of 51 joint rows", .rowCombination, as: WireRowCombinationOperation.self) {
            $0.rank = 0
        }
        try expect("52 combinations of 51 joint rows", .rowCombination, as: WireRowCombinationOperation.self) {
            $0.rank = 52
        }
    }

    @Test func `eigenvectors are of some triangles, with a constant for each row`() throws {
        func expectVectors(_ problem: String, _ change: (inout WireJointEigenvectorsOperation) -> Void) throws {
            try expect(problem, .jointEigenvectorsOfTasks, as: WireJointEigenvectorsOperation.self, change)
        }
        try expectVectors("0 eigenvectors of 3 triangles of 7 joint rows") { $0.rank = 0 }
        try expectVectors("8 eigenvectors of 3 triangles of 7 joint rows") { $0.rank = 8 }
        try expectVectors("7 constants stand in 8 joint rows") { $0.rows = 8 }
        try expectVectors("the number of joint rows is 8193") { $0.rows = 8193 }
        try expectVectors("a divisor is not positive") { $0.equal = -1 }
        try expectVectors("2 eigenvectors of 0 triangles of 7 joint rows") {
            $0.grams = 0
            $0.constant = nil
        }
    }

    @Test func `imported rows have the bytes of their shape`() throws {
        func expectImport(_ problem: String, _ change: (inout WireImportJointRowsOperation) -> Void) throws {
            try expect(problem, .importJointRows, as: WireImportJointRowsOperation.self, change)
        }
        try expectImport("0 joint rows have 3 positions of 5 columns") { $0.parts = [] }
        try expectImport("2 joint rows have 3 positions of 5 columns") { $0.parts[1].rank = 0 }
        try expectImport("the number of joint rows is 8193") { $0.parts[0].rank = 8193 }
        try expectImport("there are 8193 joint rows; expected 1 to 8192") { $0.parts[0].rank = 8192 }
        try expectImport("45 elements of joint rows have 120 bytes") { $0.parts[0].rank = 3 }
        try expectImport("30 elements of joint rows have 60 bytes") { $0.parts[1].rank = 2 }
        try expectImport("3 squares of joint rows have 16 bytes") { $0.parts[1].squares.byteCount = 16 }
        try expectImport("a divisor is not positive") { $0.parts[1].share = 0 }
        try expectImport("the content of joint rows is \"rows\"") { $0.content = "rows" }
        try expectImport("a constant has 3 positions of 5 columns") { $0.content = "constant" }
    }

    @Test func `a drift has rows, and a parameter one position`() throws {
        func expectDrift(_ problem: String, _ change: (inout WireJointDriftOperation) -> Void) throws {
            try expect(problem, .jointDrift, as: WireJointDriftOperation.self, change)
        }
        let block = "in a block of [3072, 769]"
        try expectDrift("a drift is of 0 and 128 rows of 197 positions, \(block)") { $0.inputRank = 0 }
        try expectDrift("a drift is of 32 and 0 rows of 197 positions, \(block)") { $0.gradientRank = 0 }
        try expectDrift("a drift is of 32 and 128 rows of 0 positions, \(block)") { $0.positions = 0 }
        try expectDrift("a drift is of 32 and 128 rows of 2147483648 positions, \(block)") { $0.positions = 1 << 31 }
        try expectDrift("the number of gradient rows is 8193") { $0.gradientRank = 8193 }
        try expect(
            "a drift is of 32 and 128 rows of 2 positions, in a block of [7, 1]", .jointDriftOfParameter,
            as: WireJointDriftOperation.self
        ) { $0.positions = 2 }
    }

    @Test func `a joint penalty has parts and rows`() throws {
        func expectPenalty(_ problem: String, _ change: (inout WireJointPenaltyOperation) -> Void) throws {
            try expect(problem, .jointPenalty, as: WireJointPenaltyOperation.self, change)
        }
        try expectPenalty("a joint penalty is of 0 parts of 128 and 32 rows") { $0.parts = 0 }
        try expectPenalty("a joint penalty is of 3 parts of 128 and 0 rows") { $0.inputRank = 0 }
        try expectPenalty("the number of input rows is 8193") { $0.inputRank = 8193 }
    }

    @Test func `weights are of some squares`() throws {
        func expectWeights(_ problem: String, _ change: (inout WireJointWeightsOperation) -> Void) throws {
            try expect(problem, .jointWeights, as: WireJointWeightsOperation.self, change)
        }
        try expectWeights("the weights of joint rows have no squares") { $0.tasks = 0 }
        try expectWeights("a constant's square is -1.0") { $0.known = -1 }
        try expectWeights("the number of layers is 131073") { $0.layers = 131_073 }
    }

    @Test func `a joint curvature has tasks with rows, positions and one floor`() throws {
        func expectCurvature(_ problem: String, _ change: (inout WireJointCurvature) -> Void) throws {
            try expect(problem, .jointStep, as: WireJointStepOperation.self) { change(&$0.curvature) }
        }
        let shape = "in a block of [3072, 769]"
        try expectCurvature("a joint curvature is of 0 tasks with rows of 197 positions, \(shape)") { $0.tasks = [] }
        try expectCurvature("a joint curvature is of 2 tasks with rows of 0 positions, \(shape)") { $0.positions = 0 }
        try expectCurvature("a task has 0 and 128 joint rows") { $0.tasks[0].inputRank = 0 }
        try expectCurvature("the number of gradient rows is 8193") { $0.tasks[1].gradientRank = 8193 }
        try expectCurvature("a task's share is nan") { $0.tasks[0].lambda = .nan }
        try expectCurvature("a divisor is not positive") { $0.tasks[1].pooledRows = 0 }
        try expectCurvature("a floor is the complement, and a share of the factors") { $0.complement = true }
        try expectCurvature("the share of the factors is -1.0") { $0.factorShare = -1 }
        try expect(
            "a joint curvature is of 1 tasks with rows of 2 positions, in a block of [7, 1]", .jointStepOfParameter,
            as: WireJointStepOperation.self
        ) { $0.curvature.positions = 2 }
        try expect("2 tasks have 1 vectors", .jointStart, as: WireJointStartOperation.self) { $0.vectors.removeLast() }
        try expect("a weight is inf", .jointStart, as: WireJointStartOperation.self) {
            $0.vectors[0].weight = .infinity
        }
        try expect(
            "a sum of a step is of 0 parts of 2 tasks", .jointStepSum, as: WireJointStepSumOperation.self
        ) { $0.parts = 0 }
    }
}

extension OperationExample {
    /// The rows of tasks as they travel.
    fileprivate static var summedWire: WireJointRows {
        var files = FileNumbering([])
        return summedRows.wire(&files)
    }
}
