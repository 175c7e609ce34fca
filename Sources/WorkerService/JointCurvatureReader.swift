import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

/// Multiplies matrices of a block with the joint curvature of tasks, whose rows and factors it reads from blobs.
///
/// Source: DESIGN section 2.2, joint form.
struct JointCurvatureReader {
    let curvature: JointCurvature
    let input: InputReader
    /// The place of the first task's first blob among the lease's blobs.
    let firstBlob: Int
    /// The place of the first task's constants among the lease's lists of numbers.
    let firstNumber: Int

    private var outputs: Int { curvature.shape.outputs }
    private var inputs: Int { curvature.shape.inputs }

    // MARK: - Pseudo-rows

    /// Appends a task's X of a matrix, `[S, R]`, to a list.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for rows of other sizes, or what reading throws.
    func appendProducts(
        of task: Int, _ delta: consuming Matrix<Double>, to products: inout [Double], _ scratch: inout LaneScratch
    ) async throws {
        let rank = curvature.tasks[task].inputRank
        var drift = try JointDrift(
            of: delta, inputRank: rank, positions: curvature.positions, measuresInside: false)
        for rows in try await inputChunks(task) {
            let chunk = try rows()
            let start = ContinuousClock.now
            try drift.add(inputs: chunk)
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
        for rows in try await gradientChunks(task) {
            let chunk = try rows()
            let start = ContinuousClock.now
            let part = try drift.products(with: chunk)
            part.withSpan { span in for index in span.indices { products.append(span[index]) } }
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
    }

    /// Adds a task's image of X, λ_t Σ_rs X_sr Σ_p v uᵀ, to a sum.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - products: X, `[S, R]`.
    ///   - sum: `[d_out, d_in]`.
    ///   - scratch: The lane's memory for scratch.
    /// - Throws: ``UnitError/malformedLease(_:)`` for rows of other sizes, or what reading throws.
    func addImage(
        of task: Int, _ products: ArraySlice<Double>, to sum: inout Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws {
        let own = curvature.tasks[task]
        var image = try JointGradient(outputs: outputs, inputRank: own.inputRank, positions: curvature.positions)
        var next = products.startIndex
        for rows in try await gradientChunks(task) {
            let chunk = try rows()
            let count = chunk.rowCount / curvature.positions
            let part = try Matrix<Double>(
                rows: count, columns: own.inputRank, elements: Array(products[next..<next + count * own.inputRank]))
            next += count * own.inputRank
            let start = ContinuousClock.now
            try image.add(gradients: chunk, products: part)
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
        for rows in try await inputChunks(task) {
            let chunk = try rows()
            let start = ContinuousClock.now
            try image.add(inputs: chunk, to: &sum, scale: own.lambda)
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
    }

    // MARK: - Floor

    /// Adds a task's image under the floor, λ_t (c B Δ A) or λ_t (B Δ A − B_in Δ A_in), to a sum; nothing without one.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for rows or factors of other sizes, or what reading throws.
    func addFloor(
        of task: Int, _ delta: borrowing Matrix<Double>, to sum: inout Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws {
        let own = curvature.tasks[task]
        switch curvature.floor {
        case .none: return
        case .factors(let share): try await addFactors(of: task, delta, share * own.lambda, to: &sum, &scratch)
        case .complement:
            try await addFactors(of: task, delta, own.lambda, to: &sum, &scratch)
            var held = try JointRowFactors(outputs: outputs, inputs: inputs)
            for rows in try await inputChunks(task) {
                let chunk = try rows()
                let start = ContinuousClock.now
                try held.add(inputs: chunk)
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
            }
            for rows in try await gradientChunks(task) {
                let chunk = try rows()
                let start = ContinuousClock.now
                try held.add(gradients: chunk)
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
            }
            let start = ContinuousClock.now
            try held.addImage(
                of: delta, rowsPerSample: own.pooledRows ?? Double(curvature.positions), scale: -own.lambda, to: &sum)
            scratch.kernels.note(.product, since: start)
        }
    }

    private func addFactors(
        of task: Int, _ delta: borrowing Matrix<Double>, _ scale: Double, to sum: inout Matrix<Double>,
        _ scratch: inout LaneScratch
    ) async throws {
        let shapes = curvature.block.factors.map(\.shape)
        let place = firstBlob + (task + 1) * curvature.blobsPerTask - shapes.count
        let last = input.lease.inputs.blobs[place + shapes.count - 1]
        var product = try Matrix<Double>(rows: outputs, columns: inputs)
        let gradient = try await operand(last, of: shapes[shapes.count - 1])
        try product.addSymmetricProduct(gradient, on: .left, of: delta)
        try input.progress.step()
        guard !curvature.hasConstants else { return try sum.add(product, times: scale) }
        let factor = try await operand(input.lease.inputs.blobs[place], of: shapes[0])
        let start = ContinuousClock.now
        try sum.addSymmetricProduct(factor, on: .right, of: product, scale: scale)
        scratch.kernels.note(.product, since: start)
        try input.progress.step()
    }

    private func operand(_ blob: BlobReference, of shape: SymmetricShape) async throws -> SymmetricOperand {
        guard curvature.readsDouble else { return try await input.factor(blob, of: shape).operand() }
        return try await input.doubleFactor(blob, of: shape).operand()
    }

    // MARK: - Rows

    /// Reads of some rows after the other, each `[rows · P, width]`.
    private typealias Chunks = [() throws -> Matrix<Double>]

    private func inputChunks(_ task: Int) async throws -> Chunks {
        let rank = curvature.tasks[task].inputRank
        guard !curvature.hasConstants else {
            let place = firstNumber + task
            guard input.lease.inputs.numbers.indices.contains(place),
                input.lease.inputs.numbers[place].count == rank
            else {
                throw UnitError.malformedLease("the constants of \(rank) joint rows have another number")
            }
            let constants = input.lease.inputs.numbers[place]
            return [{ try Matrix<Double>(rows: rank, columns: 1, elements: constants) }]
        }
        return try await chunks(firstBlob + task * curvature.blobsPerTask, rows: rank, width: inputs)
    }

    private func gradientChunks(_ task: Int) async throws -> Chunks {
        let place = firstBlob + task * curvature.blobsPerTask + (curvature.hasConstants ? 0 : 1)
        return try await chunks(place, rows: curvature.tasks[task].gradientRank, width: outputs)
    }

    private func chunks(_ place: Int, rows: Int, width: Int) async throws -> Chunks {
        let reader = try await PseudoRowReader(
            input.lease.inputs.blobs[place], rows: rows, positions: curvature.positions, width: width, input: input)
        let most = curvature.chunkRows(width: width)
        return stride(from: 0, to: rows, by: most).map { first in
            { try reader.rows(first..<min(first + most, rows)) }
        }
    }
}
