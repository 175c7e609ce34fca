import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

extension JointStepOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointStepExecution(operation: self, input: input).run(&scratch)
    }
}

/// Takes a block's part of a step, and prepares the next one.
struct JointStepExecution {
    let operation: JointStepOperation
    let input: InputReader

    private var curvature: JointCurvature { operation.curvature }
    private var outputs: Int { curvature.shape.outputs }
    private var inputs: Int { curvature.shape.inputs }
    /// The place of the inverses, after the state and the sum.
    private static let firstInverse = 2

    private var reader: JointCurvatureReader {
        JointCurvatureReader(
            curvature: curvature, input: input, firstBlob: Self.firstInverse + curvature.block.factors.count,
            firstNumber: operation.isFirst ? 0 : 1)
    }

    /// A block's part of the vectors of conjugate gradients.
    private struct State: ~Copyable {
        var solution: Matrix<Double>
        var residual: Matrix<Double>
        var direction: Matrix<Double>
        /// z = M⁻¹ r.
        var preconditioned: Matrix<Double>
        /// The floor's images of d and of z; zeros without a floor.
        var directionImage: Matrix<Double>
        var preconditionedImage: Matrix<Double>

        init(rows: Int, columns: Int) throws {
            let solution = try Matrix<Double>(rows: rows, columns: columns)
            let residual = try Matrix<Double>(rows: rows, columns: columns)
            let direction = try Matrix<Double>(rows: rows, columns: columns)
            let preconditioned = try Matrix<Double>(rows: rows, columns: columns)
            let directionImage = try Matrix<Double>(rows: rows, columns: columns)
            let preconditionedImage = try Matrix<Double>(rows: rows, columns: columns)
            self.solution = solution
            self.residual = residual
            self.direction = direction
            self.preconditioned = preconditioned
            self.directionImage = directionImage
            self.preconditionedImage = preconditionedImage
        }
    }

    /// Takes the step, or hands the state on.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for blobs or numbers of other sizes, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var state = try State(rows: outputs, columns: inputs)
        var rightSquares = 0.0
        if operation.isFirst {
            rightSquares = try await begin(&state, &scratch)
        } else {
            guard let descent = input.lease.inputs.numbers.first.flatMap(JointDescent.init) else {
                throw UnitError.malformedLease("\"\(input.lease.subject)\" has no step to take")
            }
            guard !descent.isStopped else { return try await handOn() }
            try await step(&state, descent, &scratch)
        }
        state.preconditioned = try await solve(state.residual, &scratch)
        var products: [Double] = []
        for task in curvature.tasks.indices {
            try await reader.appendProducts(of: task, try state.preconditioned.copy(), to: &products, &scratch)
        }
        state.preconditionedImage = try await floorImage(of: state.preconditioned, &scratch)
        let numbers = [
            try state.residual.dot(state.residual), try state.residual.dot(state.preconditioned),
            try state.preconditioned.dot(state.preconditionedImage),
            try state.preconditioned.dot(state.directionImage), rightSquares,
        ]
        return UnitResult(
            blobs: [try store(state), try input.blobs.store(products.span.bytes)], measurements: [.descent: numbers])
    }

    /// The same state, when the iteration has stopped.
    private func handOn() async throws -> UnitResult {
        let state = input.lease.inputs.blobs[0]
        try await input.blobs.prepare([state])
        let nothing = JointDescent.nothing
        return UnitResult(
            blobs: [state, try input.blobs.store(nothing.span.bytes)],
            measurements: [.descent: [Double](repeating: 0, count: 5)])
    }

    // MARK: - Vectors

    /// Makes the first residual; returns the square of the right side's norm.
    private func begin(_ state: inout State, _ scratch: inout LaneScratch) async throws -> Double {
        var rightSide = try Matrix<Double>(rows: outputs, columns: inputs)
        try await input.readMatrices(
            input.lease.inputs.blobs[0], count: operation.readCount, rows: outputs, columns: inputs
        ) { position, matrix in
            switch position {
            case 0: state.solution = matrix
            case 1: state.residual = matrix
            default: state.preconditionedImage = matrix
            }
        }
        if curvature.readsFactors { try rightSide.add(state.preconditionedImage) }
        let (first, second) = try await sums()
        try await addImages(of: first, to: &state.residual, &scratch)
        try await addImages(of: second, to: &rightSide, &scratch)
        return try rightSide.dot(rightSide)
    }

    /// d = z + β d, Δ += α d, r −= α Q d.
    private func step(_ state: inout State, _ descent: JointDescent, _ scratch: inout LaneScratch) async throws {
        try await input.readMatrices(
            input.lease.inputs.blobs[0], count: operation.readCount, rows: outputs, columns: inputs
        ) { position, matrix in
            switch position {
            case 0: state.solution = matrix
            case 1: state.residual = matrix
            case 2: state.direction = matrix
            case 3: state.preconditioned = matrix
            case 4: state.directionImage = matrix
            default: state.preconditionedImage = matrix
            }
        }
        state.direction.multiply(by: descent.formerShare)
        try state.direction.add(state.preconditioned)
        var image = try Matrix<Double>(rows: outputs, columns: inputs)
        if curvature.readsFactors {
            state.directionImage.multiply(by: descent.formerShare)
            try state.directionImage.add(state.preconditionedImage)
            try image.add(state.directionImage)
        }
        try await addImages(of: try await sums().first, to: &image, &scratch)
        try state.solution.add(state.direction, times: descent.length)
        try state.residual.add(image, times: -descent.length)
    }

    /// The sums over blocks of X: that of the direction, or those of the residual and of the right side.
    private func sums() async throws -> (first: [Double], second: [Double]) {
        let length = curvature.productCount
        let numbers = try await input.doubles(input.lease.inputs.blobs[1], count: operation.sumCount * length)
        return (Array(numbers.prefix(length)), Array(numbers.dropFirst(length)))
    }

    // MARK: - Products

    private func addImages(
        of products: [Double], to sum: inout Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws {
        var next = 0
        for (task, own) in curvature.tasks.enumerated() {
            try await reader.addImage(of: task, products[next..<next + own.productCount], to: &sum, &scratch)
            next += own.productCount
        }
    }

    private func floorImage(
        of matrix: borrowing Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws -> Matrix<Double> {
        var image = try Matrix<Double>(rows: outputs, columns: inputs)
        for task in curvature.tasks.indices { try await reader.addFloor(of: task, matrix, to: &image, &scratch) }
        return image
    }

    /// z = B⁻¹ r A⁻¹, or F⁻¹ r of a parameter.
    private func solve(
        _ residual: borrowing Matrix<Double>, _ scratch: inout LaneScratch
    ) async throws -> Matrix<Double> {
        let shapes = curvature.block.factors.map(\.shape)
        let blobs = input.lease.inputs.blobs[Self.firstInverse..<Self.firstInverse + shapes.count]
        let last = try await input.factor(blobs[blobs.endIndex - 1], of: shapes[shapes.count - 1]).operand()
        var product = try Matrix<Double>(rows: outputs, columns: inputs)
        let start = ContinuousClock.now
        try product.addSymmetricProduct(last, on: .left, of: residual)
        scratch.kernels.note(.product, since: start)
        try input.progress.step()
        guard !curvature.hasConstants else { return product }
        let first = try await input.factor(blobs[blobs.startIndex], of: shapes[0]).operand()
        var solution = try Matrix<Double>(rows: outputs, columns: inputs)
        try solution.addSymmetricProduct(first, on: .right, of: product)
        try input.progress.step()
        return solution
    }

    // MARK: - The result

    private func store(_ state: borrowing State) throws -> BlobReference {
        let matrixBytes = UInt64(8).saturatingProduct(UInt64(state.solution.elementCount))
        let writer = try input.blobs.beginWrite(byteCount: matrixBytes.saturatingProduct(UInt64(operation.stateCount)))
        try state.solution.withBytes { bytes throws in try writer.append(bytes) }
        try state.residual.withBytes { bytes throws in try writer.append(bytes) }
        try state.direction.withBytes { bytes throws in try writer.append(bytes) }
        try state.preconditioned.withBytes { bytes throws in try writer.append(bytes) }
        if curvature.readsFactors {
            try state.directionImage.withBytes { bytes throws in try writer.append(bytes) }
            try state.preconditionedImage.withBytes { bytes throws in try writer.append(bytes) }
        }
        return try input.blobs.finish(writer)
    }
}
