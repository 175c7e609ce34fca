import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

extension JointStepSumOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointStepSumExecution(operation: self, input: input).run()
    }
}

/// Sums the blocks' X in the order of the lease, and decides the next step.
struct JointStepSumExecution {
    let operation: JointStepSumOperation
    let input: InputReader

    /// Reads each part once, with the sum in memory.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for parts or numbers of other lengths, ``UnitError/nonFinite(_:)``
    ///   when the iteration leaves fp64, or what reading throws.
    func run() async throws -> UnitResult {
        let former = try operation.hasFormer ? formerDescent() : nil
        if let former, former.isStopped { return try ended(former) }
        guard operation.number > 0 else {
            let sum = try await sum()
            return UnitResult(
                blobs: [try input.blobs.store(sum.span.bytes)],
                measurements: [
                    .descent: JointDescent(isStopped: false, steps: 0, residual: 1, rightSquares: 0).numbers
                ])
        }
        let (residualSquares, slope, ofFloor, withFormer, rightSquares) = try totals()
        let right = former?.rightSquares ?? rightSquares
        var descent = JointDescent(
            isStopped: false, steps: operation.number - 1,
            residual: right > 0 ? (residualSquares / right).squareRoot() : 0, rightSquares: right)
        try requireFinite([descent.residual, slope])
        guard descent.residual > operation.tolerance, descent.steps < operation.stepsMax, slope > 0 else {
            return try ended(descent)
        }
        descent.slope = slope
        descent.formerShare = former.map { slope / $0.slope } ?? 0
        let share = descent.formerShare
        descent.floorCurvature = ofFloor + share * (2 * withFormer + share * (former?.floorCurvature ?? 0))
        let direction = try await direction(share)
        let curvature = squares(direction) + descent.floorCurvature
        try requireFinite([curvature])
        // Without curvature there is nothing left to gain along the direction.
        guard curvature > 0 else { return try ended(descent) }
        descent.length = slope / curvature
        try requireFinite(descent.numbers)
        return UnitResult(
            blobs: [try input.blobs.store(direction.span.bytes)], measurements: [.descent: descent.numbers])
    }

    private func ended(_ descent: JointDescent) throws -> UnitResult {
        var descent = descent
        descent.isStopped = true
        let nothing = JointDescent.nothing
        return UnitResult(
            blobs: [try input.blobs.store(nothing.span.bytes)],
            measurements: [.descent: descent.numbers])
    }

    private func requireFinite(_ numbers: [Double]) throws {
        guard !numbers.allSatisfy(\.isFinite) else { return }
        throw UnitError.nonFinite(
            "\(input.lease.title): the iteration left the range of fp64; expected factors and joint rows of moderate size. "
                + "Raise \"damping\", scale the captures of all tasks down, or write \"curvature: factors\".")
    }

    // MARK: - Numbers

    private func formerDescent() throws -> JointDescent {
        guard let descent = input.lease.inputs.numbers.first.flatMap(JointDescent.init) else {
            throw UnitError.malformedLease("the sum of step \(operation.number) has no former one")
        }
        return descent
    }

    /// The sums over blocks of r·r, r·z, z·Fz, z·Fd and b·b.
    private func totals() throws -> (Double, Double, Double, Double, Double) {
        var sums = [Double](repeating: 0, count: 5)
        for numbers in input.lease.inputs.numbers.dropFirst(operation.hasFormer ? 1 : 0) {
            guard numbers.count == sums.count else {
                throw UnitError.malformedLease("a part of a step has \(numbers.count) numbers")
            }
            for index in sums.indices { sums[index] += numbers[index] }
        }
        return (sums[0], sums[1], sums[2], sums[3], sums[4])
    }

    // MARK: - X

    private func sum() async throws -> [Double] {
        var sum = [Double](repeating: 0, count: operation.elementCount)
        for part in input.lease.inputs.blobs.prefix(operation.partCount) {
            try await add(part, times: 1, to: &sum)
        }
        return sum
    }

    /// X of z + β d, from X of z and the former X of d.
    private func direction(_ formerShare: Double) async throws -> [Double] {
        var direction = try await sum()
        if operation.hasFormer {
            try await add(input.lease.inputs.blobs[operation.partCount], times: formerShare, to: &direction)
        }
        return direction
    }

    private func add(_ part: BlobReference, times scale: Double, to sum: inout [Double]) async throws {
        let values = try await input.doubles(part, count: sum.count)
        for index in sum.indices { sum[index] += scale * values[index] }
    }

    /// Σ_t λ_t Σ_rs X_sr².
    private func squares(_ products: [Double]) -> Double {
        var (squares, next) = (0.0, 0)
        for task in operation.tasks {
            let own = products[next..<next + task.productCount]
            squares += task.lambda * own.reduce(0) { $0 + $1 * $1 }
            next += task.productCount
        }
        return squares
    }
}
