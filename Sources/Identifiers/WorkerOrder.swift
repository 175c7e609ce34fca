/// An order to a worker.
///
/// The scheduler, the wire and the worker use this one type. `Lease` describes a unit that must be computed. In the
/// scheduler it names the unit. On the wire it holds all that the worker needs.
public enum WorkerOrder<Lease> {
    /// Compute this unit.
    case lease(Lease)
    /// This unit is no longer wanted, whether or not its computation has begun.
    ///
    /// A worker that has not begun the unit forgets it. A worker that computes it stops at its next step. Neither
    /// reports anything about it. A result that was already sent counts as late.
    case revoke(LeasedUnit)
    /// Send this blob.
    case collect(BlobDigest)
    /// Remove these blobs: their content does not match their digests.
    case discard([BlobDigest])
    /// Take no new units, finish the units under way, and leave.
    case drain
    /// Leave: nothing more is wanted.
    case dismiss
}

extension WorkerOrder: Equatable where Lease: Equatable {}
extension WorkerOrder: Hashable where Lease: Hashable {}
extension WorkerOrder: Sendable where Lease: Sendable {}
