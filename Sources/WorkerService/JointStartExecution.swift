import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

extension JointStartOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointStartExecution(operation: self, input: input).run(&scratch)
    }
}

/// Multiplies what the closed form leaves of each task vector, and the vector itself, with the task's curvature.
struct JointStartExecution {
    let operation: JointStartOperation
    let input: InputReader

    private var outputs: Int { operation.curvature.shape.outputs }
    private var inputs: Int { operation.curvature.shape.inputs }
    private var parameters: ParameterReader { ParameterReader(.block(operation.curvature.block), input: input) }

    /// Reads the vectors once, and the rows of each task twice.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for parameters or products that are not finite,
    ///   ``UnitError/malformedLease(_:)`` for blobs of other sizes, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let curvature = JointCurvatureReader(
            curvature: operation.curvature, input: input, firstBlob: operation.parameterCount, firstNumber: 0)
        let base = try await parameters.read(operation.base)
        let start = try await closedForm(minus: base)
        var residualImage = try Matrix<Double>(rows: outputs, columns: inputs)
        var rightImage = try Matrix<Double>(rows: outputs, columns: inputs)
        var (residuals, rightSides): ([Double], [Double]) = ([], [])
        for (task, vector) in operation.vectors.enumerated() {
            var delta = try await parameters.taskVector(vector.parameters, base: base)
                .reshaped(rows: outputs, columns: inputs)
            delta.multiply(by: vector.weight)
            try await curvature.addFloor(of: task, delta, to: &rightImage, &scratch)
            try await curvature.appendProducts(of: task, try delta.copy(), to: &rightSides, &scratch)
            try delta.add(start, times: -1)
            try await curvature.addFloor(of: task, delta, to: &residualImage, &scratch)
            try await curvature.appendProducts(of: task, delta, to: &residuals, &scratch)
        }
        guard (residuals + rightSides).allSatisfy(\.isFinite) else {
            throw UnitError.nonFinite(
                "merge of \"\(input.lease.subject)\": the drift of a task vector overflows fp64, though its parameters are "
                    + "finite; expected parameters near the base's. Check the checkpoints.")
        }
        let writer = try input.blobs.beginWrite(
            byteCount: UInt64(8 * operation.stateCount).saturatingProduct(UInt64(start.elementCount)))
        try start.withBytes { bytes throws in try writer.append(bytes) }
        if operation.curvature.readsFactors {
            try residualImage.withBytes { bytes throws in try writer.append(bytes) }
            try rightImage.withBytes { bytes throws in try writer.append(bytes) }
        }
        let state = try input.blobs.finish(writer)
        return UnitResult(blobs: [state, try input.blobs.store((residuals + rightSides).span.bytes)])
    }

    /// Δ_0: the parameters that the closed form merges, without the base's.
    private func closedForm(minus base: borrowing Matrix<Double>) async throws -> Matrix<Double> {
        var matrix = try Matrix<Double>(rows: outputs, columns: inputs)
        var first = 0
        for parameter in 0..<operation.parameterCount {
            // The bias is the last column.
            let columns = parameter > 0 ? 1 : inputs - (operation.parameterCount - 1)
            let isTransposed = operation.base.indices.contains(parameter) && operation.base[parameter].layout == .inOut
            let (rows, width) = isTransposed ? (columns, outputs) : (outputs, columns)
            let place = first
            try await input.readMatrices(
                input.lease.inputs.blobs[parameter], count: 1, rows: rows, columns: width
            ) { _, stored in
                for row in 0..<outputs {
                    for column in 0..<columns {
                        matrix[row, place + column] = isTransposed ? stored[column, row] : stored[row, column]
                    }
                }
            }
            first += columns
        }
        try matrix.add(base, times: -1)
        return matrix
    }
}
