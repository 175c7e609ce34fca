public import Identifiers
import LinearAlgebra
public import UnitOperations

extension FactorSetInventory.JointRowTensors {
    /// The import of a block's side; `nil` without such rows, or if their shapes contradict the block.
    ///
    /// - Parameters:
    ///   - block: The layer or parameter.
    ///   - side: Inputs or gradients; a parameter has gradients only.
    /// - Returns: The operation.
    func operation(_ block: CurvatureBlock, _ side: FactorSide) -> ImportJointRowsOperation? {
        let isLayer = block.factors.count == 2
        let own: FactorSide = isLayer ? side : .full
        guard let width = block.factors.first(where: { $0.side == own })?.shape.dimension,
            let rows = rows[FactorName(owner: block.name, side: own)],
            let squares = squares[FactorName(owner: block.name, side: own)],
            rows.shape.count == (isLayer ? 3 : 2), rows.shape.last == width, let rank = rows.shape.first,
            (1...JointRows.countMax).contains(rank)
        else { return nil }
        let positions = isLayer ? rows.shape[1] : 1
        guard positions > 0, squares.shape == [positions] else { return nil }
        return ImportJointRowsOperation(
            rows: rows.slice, rank: rank, positions: positions, columns: width, numbers: squares.slice)
    }

    /// The import of the constant; `nil` without it.
    var constantOperation: ImportJointRowsOperation? {
        guard let constant, constant.shape.count == 1, let rank = constant.shape.first,
            (1...JointRows.countMax).contains(rank)
        else { return nil }
        return ImportJointRowsOperation(rows: nil, rank: rank, positions: 1, columns: 1, numbers: constant.slice)
    }

    /// The number of rows of a side, by the first block that has any.
    public func rank(_ side: FactorSide, of blocks: [CurvatureBlock]) -> Int? {
        let sided = blocks.filter { side != .input || $0.factors.count == 2 }
        let found = sided.lazy.compactMap { operation($0, side)?.rank }.first
        return found ?? (side == .input ? constantOperation?.rank : nil)
    }

    /// What the constant lacks: a sentence, or `nil` if it has everything.
    func constantProblem(_ blocks: [CurvatureBlock]) -> String? {
        guard blocks.contains(where: { $0.factors.count == 1 }) else { return nil }
        let expected = rank(.input, of: blocks) ?? 0
        guard constantOperation?.rank != expected else { return nil }
        return
            "the joint rows have no constant; expected \"input_rows\" of shape [\(expected)], which the parameters outside "
            + "layers meet. Make the factors again from the rows."
    }

    /// What a block lacks: a sentence, or `nil` if it has everything.
    func problem(of block: CurvatureBlock, _ ranks: (inputs: Int?, gradients: Int?)) -> String? {
        let isLayer = block.factors.count == 2
        for side in isLayer ? [FactorSide.input, .gradient] : [.gradient] {
            let word = side == .input ? "input" : "gradient"
            let expected = side == .input ? ranks.inputs : ranks.gradients
            guard let operation = operation(block, side) else {
                let dimension = block.factors.first { $0.side == (isLayer ? side : .full) }?.shape.dimension ?? 0
                return "the joint rows of \"\(block.name)\" are missing or have another shape; expected "
                    + "\"\(block.name).\(word)_rows\" of shape [rows, \(isLayer ? "positions, " : "")\(dimension)] and "
                    + "\"\(block.name).\(word)_squares\" of shape [positions]. Make the factors again from the rows."
            }
            guard operation.rank == expected else {
                return "\"\(block.name).\(word)_rows\" has \(operation.rank) rows, but other layers have "
                    + "\(expected ?? 0); expected one number. Make the factors again from the rows."
            }
        }
        return nil
    }
}
