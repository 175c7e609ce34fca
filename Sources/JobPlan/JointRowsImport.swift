import Identifiers
import LinearAlgebra
import UnitOperations

extension JointRowTensors {
    /// A part of an import, with its shape.
    struct Imported {
        let part: ImportJointRowsOperation.Part
        let positions: Int
        let columns: Int
    }

    /// The import of a block's side; `nil` without such rows, or if their shapes contradict the block.
    ///
    /// - Parameters:
    ///   - block: The layer or parameter.
    ///   - side: Inputs or gradients; a parameter has gradients only.
    ///   - share: The share of the task's samples.
    /// - Returns: The tensors with their shape.
    func imported(_ block: CurvatureBlock, _ side: FactorSide, share: Double) -> Imported? {
        let expected = ExpectedTensors(block, side)
        guard expected.problem(of: self) == nil, let rows = rows[expected.name], let squares = squares[expected.name]
        else { return nil }
        return Imported(
            part: .init(rows: rows.slice, rank: rows.shape[0], squares: squares.slice, share: share),
            positions: expected.positions(of: rows), columns: expected.width)
    }

    /// The import of the constant; `nil` without it.
    func importedConstant(share: Double) -> ImportJointRowsOperation.Part? {
        guard let constant, constant.shape.count == 1, let rank = constant.shape.first,
            (1...JointRows.countMax).contains(rank), let constantSquares, constantSquares.shape == [1]
        else { return nil }
        return .init(rows: constant.slice, rank: rank, squares: constantSquares.slice, share: share)
    }

    /// The number of rows of a side, by the first block that has any.
    func rank(_ side: FactorSide, of blocks: [CurvatureBlock]) -> Int? {
        let sided = blocks.filter { side != .input || $0.factors.count == 2 }
        let found = sided.lazy.compactMap { imported($0, side, share: 1)?.part.rank }.first
        return found ?? (side == .input ? importedConstant(share: 1)?.rank : nil)
    }

    /// What the constant lacks: a sentence, or `nil` if it has everything.
    func constantProblem(_ blocks: [CurvatureBlock]) -> String? {
        guard blocks.contains(where: { $0.factors.count == 1 }) else { return nil }
        let rank = rank(.input, of: blocks)
        let rows = rank.map { "[\($0)]" } ?? "[rows]"
        let remedy = "The parameters outside layers meet the constant. Make the factors again from the rows."
        for (name, tensor, expected, fits) in [
            ("input_rows", constant, rows, constant?.shape.count == 1 && [nil, constant?.shape[0]].contains(rank)),
            ("input_squares", constantSquares, "[1]", constantSquares?.shape == [1]),
        ] where !fits || tensor == nil {
            let found = tensor.map { "has the shape \($0.shape)" } ?? "is missing"
            return "\"\(name)\" \(found); expected the shape \(expected). \(remedy)"
        }
        return nil
    }

    /// What a block lacks: a sentence, or `nil` if it has everything.
    func problem(of block: CurvatureBlock, _ ranks: (inputs: Int?, gradients: Int?)) -> String? {
        for side in block.factors.count == 2 ? [FactorSide.input, .gradient] : [.gradient] {
            let tensors = ExpectedTensors(block, side)
            if let problem = tensors.problem(of: self) {
                return "\(problem). Make the factors again from the rows."
            }
            let expected = side == .input ? ranks.inputs : ranks.gradients
            let found = rows[tensors.name]?.shape.first
            guard found == expected else {
                return "\"\(tensors.rowsName)\" has \(found ?? 0) rows, but other layers have \(expected ?? 0); "
                    + "expected one number. Make the factors again from the rows."
            }
        }
        return nil
    }
}

/// The names and shapes that a block's joint rows of one side must have.
private struct ExpectedTensors {
    /// The factor of the side, by which the inventory keeps the tensors.
    let name: FactorName
    let rowsName: String
    let squaresName: String
    /// Columns of a position.
    let width: Int
    private let isLayer: Bool

    init(_ block: CurvatureBlock, _ side: FactorSide) {
        isLayer = block.factors.count == 2
        name = FactorName(owner: block.name, side: isLayer ? side : .full)
        let word = side == .input ? "input" : "gradient"
        (rowsName, squaresName) = ("\(block.name).\(word)_rows", "\(block.name).\(word)_squares")
        let own = name.side
        width = block.factors.first { $0.side == own }?.shape.dimension ?? 0
    }

    func positions(of rows: JointRowTensors.Tensor) -> Int { isLayer ? rows.shape[1] : 1 }

    /// What is missing or of another shape: a clause, or `nil`.
    func problem(of tensors: JointRowTensors) -> String? {
        let expected = "expected the shape [rows, \(isLayer ? "positions, " : "")\(width)]"
        guard let rows = tensors.rows[name] else { return "\"\(rowsName)\" is missing; \(expected)" }
        guard rows.shape.count == (isLayer ? 3 : 2), rows.shape.last == width,
            (1...JointRows.countMax).contains(rows.shape[0]), positions(of: rows) > 0
        else {
            return "\"\(rowsName)\" has the shape \(rows.shape); \(expected) with 1 to \(JointRows.countMax) rows"
        }
        let shape = [positions(of: rows)]
        guard let squares = tensors.squares[name] else {
            return "\"\(squaresName)\" is missing; expected the shape \(shape)"
        }
        guard squares.shape == shape else {
            return "\"\(squaresName)\" has the shape \(squares.shape); expected \(shape), one for each position"
        }
        return nil
    }
}
