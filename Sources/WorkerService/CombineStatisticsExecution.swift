import Identifiers
import TaskArithmetic
import UnitOperations
import WireProtocol

extension CombineStatisticsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try CombineStatisticsExecution(operation: self, input: input).run(by: MergeMethod(named: method))
    }
}

/// Combines the statistics of a model's parts in the order of the lease.
struct CombineStatisticsExecution {
    let operation: CombineStatisticsOperation
    let input: InputReader

    /// Combines by a method's statistics; `nil` stands for a name that is not registered.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for a method without statistics, ``UnitError/nonFinite(_:)``.
    func run(by method: MergeMethod?) throws -> UnitResult {
        guard let statistics = method?.statistics else {
            throw UnitError.malformedLease("this program has no statistics for \"\(operation.method.excerpt)\"")
        }
        let combined = try statistics.combined(input.lease.inputs.numbers, round: operation.round)
        return UnitResult(measurements: [.statistics: try combined.checkedStatistics(of: input.lease.title)])
    }
}

extension [Double] {
    /// The numbers, if they may stand in a result.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)``, or ``UnitError/malformedLease(_:)`` for more than a result may hold.
    func checkedStatistics(of title: String) throws -> [Double] {
        guard count <= ModelStatisticsLimits.numbers else {
            throw UnitError.malformedLease(
                "\(title): \(count) statistics; expected at most \(ModelStatisticsLimits.numbers)")
        }
        guard let first = firstIndex(where: { !$0.isFinite }) else { return self }
        throw UnitError.nonFinite(
            "\(title): number \(first) is \(self[first]); expected finite statistics. Check the checkpoints for large "
                + "values.")
    }
}
