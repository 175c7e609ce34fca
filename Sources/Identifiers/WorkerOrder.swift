/// An order to a worker: the same from the decision to the worker that obeys.
///
/// `Lease` is what is known of a unit that is to be computed. The scheduler names it; on its way it holds all that the
/// worker needs to know.
public enum WorkerOrder<Lease> {
    /// Compute this unit.
    case lease(Lease)
    /// This unit is no longer wanted, whether or not its computation has begun.
    ///
    /// A worker that has not begun it forgets it; one that computes it ends at its next step. Neither says anything of
    /// it any more. A result that was on its way already is judged as a late one.
    case revoke(LeasedUnit)
    /// Send this blob.
    case collect(BlobDigest)
    /// Forget these blobs: they are not what their names say.
    case discard([BlobDigest])
    /// Take no new units, finish those under way, and leave.
    case drain
    /// Leave: nothing is wanted any more.
    case dismiss
}

extension WorkerOrder: Equatable where Lease: Equatable {}
extension WorkerOrder: Hashable where Lease: Hashable {}
extension WorkerOrder: Sendable where Lease: Sendable {}
