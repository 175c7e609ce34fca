import Identifiers
import JobPlan
import Scheduling
import WireProtocol

/// Turns a planned unit into what a worker needs to know: blobs by their digests, files by their identity.
struct LeaseResolution {
    let job: Job
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    /// Resolves a unit.
    ///
    /// - Returns: The lease, or `nil` when a result that it depends on is not there.
    func lease(_ leased: LeasedUnit) -> UnitLease? {
        let unit = job.plan.units[leased.unit.unit.position]
        guard case .worker(let operation) = unit.operation,
            let named = try? operation.mapBlobs({ (output: UnitOutput) throws(CoordinatorWorkError) in
                try blob(output)
            }), let resolved = try? measured(named)
        else { return nil }
        var files: [Int: LeasedFile] = [:]
        for slice in operation.slices {
            let file = job.plan.inventory.files[slice.file]
            files[slice.file] = LeasedFile(
                path: file.path, byteCount: file.byteCount, headerDigest: file.headerDigest)
        }
        return UnitLease(
            leased: leased, title: unit.title, operation: resolved, files: files)
    }

    private func blob(_ output: UnitOutput) throws(CoordinatorWorkError) -> LeasedBlob {
        guard let result = result(output.unit), result.blobs.indices.contains(output.position) else {
            throw .missingResult(job.plan.units[output.unit.position].title)
        }
        return LeasedBlob(reference: result.blobs[output.position])
    }

    /// An operation on sums in the optimal form with the inner products that another unit has measured.
    private func measured(_ operation: WorkerOperation<LeasedBlob>) throws(CoordinatorWorkError)
        -> WorkerOperation<LeasedBlob>
    {
        guard case .accumulateOptimal(var operation) = operation else { return operation }
        operation.input.products = .values(try innerProducts(operation.input))
        operation.gradient.products = .values(try innerProducts(operation.gradient))
        return .accumulateOptimal(operation)
    }

    private func innerProducts(
        _ side: OptimalAccumulateOperation<LeasedBlob>.Side
    ) throws(CoordinatorWorkError) -> [Double] {
        switch side.products {
        case .values(let values): return values
        case .measured(let unit):
            guard let values = result(unit)?.measurements[.innerProducts] else {
                throw .missingResult(job.plan.units[unit.position].title)
            }
            return values
        }
    }
}
