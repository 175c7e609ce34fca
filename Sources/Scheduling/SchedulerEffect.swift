public import Identifiers

/// One thing to do, once the facts behind it are durable.
public enum SchedulerEffect: Hashable, Sendable {
    /// Tell an operator, and count it: nothing else follows from a notice.
    case tell(SchedulerNotice)
    /// A worker is gone: let go of what is kept for the conversation with it.
    ///
    /// It may have greeted again since; then the new conversation stays.
    case forget(WorkerID)
    /// Give a worker an order.
    case send(AddressedOrder)
    /// Compute a unit of the coordinator's own; the answer is `unitFinished` or `unitFailed`.
    case compute(LeasedUnit)
    /// Tell the workers that wait for a blob that nobody has it.
    case tellUnavailable(BlobDigest)
    /// A job has ended: let go of it, and remove what it has staged.
    case letGo(JobID)
    /// Remove blobs of the coordinator's store that no running job needs.
    case remove([BlobDigest])
    /// Empty the coordinator's store: no job runs.
    case clearStore
    /// What was decided is durable and done: from now on clients are told of it.
    case settle(hasEnded: Bool)
    /// Answer whoever submitted a job that it is accepted.
    case accept(JobID)
}

extension SchedulerEffects {
    /// What one event asks for, in the order in which it is done; its records are durable before.
    ///
    /// - Notices come first: they speak of units by the plans of jobs that are let go further on.
    /// - Workers that are gone are forgotten before orders are given, which are for those that are there.
    /// - Orders come before jobs are let go: a job's end takes its units back from workers that still compute them.
    /// - Blobs are removed last, when nothing that reads them is left.
    public var inOrder: [SchedulerEffect] {
        var all = notices.map(SchedulerEffect.tell)
        all += forgotten.map(SchedulerEffect.forget)
        all += orders.map(SchedulerEffect.send)
        all += coordinatorWork.map(SchedulerEffect.compute)
        all += unavailable.map(SchedulerEffect.tellUnavailable)
        all += endedJobs.map(SchedulerEffect.letGo)
        if !unneeded.isEmpty { all.append(.remove(unneeded)) }
        if clearsStore { all.append(.clearStore) }
        return all
    }
}

/// What several events ask for together: their facts share one commit, and everything else waits for it.
///
/// The coordinator and the simulation perform a batch alike: they take over ``deadline`` at once, commit ``records``,
/// and then do what ``inOrder`` lists.
public struct EffectBatch: Sendable {
    private var parts: [SchedulerEffects] = []

    /// Begins with nothing to do.
    public init() {}

    /// Adds what an event asks for, behind what those before it did.
    ///
    /// A worker that joins again is not forgotten: its new conversation began while the batch waited.
    public mutating func append(_ effects: SchedulerEffects) {
        for worker in effects.joined {
            for position in parts.indices { parts[position].forgotten.removeAll { $0 == worker } }
        }
        parts.append(effects)
    }

    /// Facts to make durable before anything of ``inOrder`` is done.
    public var records: [JournalRecord] { parts.flatMap(\.records) }

    /// The next instant at which `deadlineReached` must be handled, after all these events.
    ///
    /// It does not wait for the commit: time passes meanwhile.
    public var deadline: SchedulerInstant? { parts.last?.deadline }

    /// Whether a job has ended.
    public var endsJobs: Bool { parts.contains { !$0.endedJobs.isEmpty } }

    /// Everything that is to be done when ``records`` are durable, one after the other.
    ///
    /// Event by event; then clients are told, since what they hear must be done: the files of a job that has ended are
    /// gone, and an accepted job can be asked about.
    public var inOrder: [SchedulerEffect] {
        var all = parts.flatMap(\.inOrder)
        if !parts.isEmpty { all.append(.settle(hasEnded: endsJobs)) }
        for case .jobAccepted(let header) in records { all.append(.accept(header.id)) }
        return all
    }
}
