import KroneckerFactors
import UnitOperations
import WireProtocol

extension JointWeightsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try JointWeightsExecution(operation: self, input: input).run()
    }
}

/// Finds the largest weight of a side.
struct JointWeightsExecution {
    let operation: JointWeightsOperation
    let input: InputReader

    /// Takes the means over tasks, and the largest of them.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for lists of different lengths.
    func run() throws -> UnitResult {
        let lists = input.lease.inputs.numbers
        let tasks = operation.taskCount
        var largest = 0.0
        var constant = operation.known
        for block in 0..<operation.layerCount + operation.parameterCount {
            let squares = Array(lists[block * tasks..<(block + 1) * tasks])
            guard squares.allSatisfy({ $0.count == squares[0].count }) else {
                throw UnitError.malformedLease("the tasks' squares of a layer have different numbers of positions")
            }
            let means = JointWeights.means(squares)
            if block < operation.layerCount {
                largest = means.reduce(largest, max)
            } else {
                constant += means.reduce(0, +)
            }
        }
        return UnitResult(measurements: [.weightSquares: [max(largest, constant), constant]])
    }
}
