public import Identifiers
import LinearAlgebra
public import UnitOperations

/// Whose joint rows: those of a task, or those of a target's regularizer.
public enum JointRowsOwner: Hashable, Sendable, CustomStringConvertible {
    /// A task's own.
    case task(TaskName)
    /// Those of the tasks that a target sums.
    case target(TargetName)

    /// The subject of units that belong to all layers.
    public static let subject = "joint rows"

    /// The owner, in titles.
    public var description: String {
        switch self {
        case .task(let task): "task \"\(task)\""
        case .target(let target): "target \"\(target)\""
        }
    }
}

/// A tensor of joint rows in a file.
///
/// Source: DESIGN section 3.
public struct JointTensor: Equatable, Sendable {
    /// What stands in the tensor.
    public enum Content: Equatable, Sendable {
        /// A blob of F32.
        case blob(UnitOutput)
        /// The mean of lists of numbers.
        case mean([UnitMeasurement])
        /// One known number.
        case number(Double)
    }

    /// The tensor's name.
    public let name: String
    /// Its shape, outermost first.
    public let shape: [Int]
    /// What stands in it.
    public let content: Content

    /// Bytes of its elements as F32.
    public var byteCount: UInt64 { shape.reduce(4) { $0.saturatingProduct(UInt64($1)) } }
}

extension JobPlan {
    /// The tensors of joint rows in the file of a task or a target, in their order; none for another form.
    public func jointTensors(of owner: JointRowsOwner) -> [JointTensor] {
        products.jointTensors(of: owner, blocks: blocks, units: units, tasks: owner.tasks(in: spec))
    }

    /// The unit that found the eigenvectors of a side; `nil` for another form.
    public func jointEigenvectors(
        _ side: FactorSide, of owner: JointRowsOwner
    ) -> (unit: UnitIndex, operation: JointEigenvectorsOperation)? {
        guard let output = products[JointRowsOwner.subject, .jointEigenvectors(side, of: owner)],
            let operation = units[output.unit.position].operation as? JointEigenvectorsOperation
        else { return nil }
        return (output.unit, operation)
    }
}

extension JointRowsOwner {
    /// The tasks whose rows they are made of.
    func tasks(in spec: JobSpec) -> [TaskName] {
        switch self {
        case .task(let task): [task]
        case .target(let target): spec.curvedTasks.map(\.name).filter(target.includes)
        }
    }
}

extension PlanProducts {
    /// The tensors of joint rows in the file of a task or a target.
    func jointTensors(
        of owner: JointRowsOwner, blocks: [CurvatureBlock], units: [WorkUnit], tasks: [TaskName]
    ) -> [JointTensor] {
        var tensors: [JointTensor] = []
        for (position, block) in blocks.enumerated() {
            let sides: [(FactorSide, String)] =
                block.factors.count == 2 ? [(.input, "input"), (.gradient, "gradient")] : [(.gradient, "gradient")]
            for (side, word) in sides {
                guard let output = self[block: position, .jointRows(side, of: owner)],
                    let operation = units[output.unit.position].operation as? any PseudoRowsMaking
                else { continue }
                let row =
                    block.factors.count == 2
                    ? [operation.rowPositions, operation.rowWidth] : [operation.rowWidth]
                tensors.append(
                    JointTensor(
                        name: "\(block.name).\(word)_rows", shape: [operation.rank] + row, content: .blob(output)))
                let squares = tasks.compactMap { self[block: position, .rowSquares(side, of: $0)] }
                tensors.append(
                    JointTensor(
                        name: "\(block.name).\(word)_squares", shape: [operation.rowPositions],
                        content: .mean(squares.map { UnitMeasurement($0.unit, .positionSquares) })))
            }
        }
        guard let output = self[JointRowsOwner.subject, .jointEigenvectors(.input, of: owner)],
            let rank = constantRank(of: units[output.unit.position])
        else { return tensors }
        tensors.append(
            JointTensor(
                name: "input_rows", shape: [rank],
                content: .mean([UnitMeasurement(output.unit, .constantRows)])))
        tensors.append(JointTensor(name: "input_squares", shape: [1], content: .number(1)))
        return tensors
    }

    /// The number of constants that a unit measures; `nil` if it measures none.
    private func constantRank(of unit: WorkUnit) -> Int? {
        switch unit.operation {
        case let operation as JointEigenvectorsOperation: operation.constant == nil ? nil : operation.rank
        case let operation as ImportJointRowsOperation: operation.rank
        default: nil
        }
    }

    /// The units whose results stand in the tensors of joint rows, or in the metadata beside them.
    func jointUnits(
        of owner: JointRowsOwner, blocks: [CurvatureBlock], units: [WorkUnit], tasks: [TaskName]
    ) -> [UnitOutput] {
        let tensors = jointTensors(of: owner, blocks: blocks, units: units, tasks: tasks)
        return tensors.flatMap { tensor -> [UnitOutput] in
            switch tensor.content {
            case .blob(let output): [output]
            case .mean(let numbers): numbers.map { UnitOutput($0.unit) }
            case .number: []
            }
        }
            + [FactorSide.input, .gradient].compactMap {
                self[JointRowsOwner.subject, .jointEigenvectors($0, of: owner)]
            }
    }
}
