public import Identifiers

/// One action, which must wait until the facts behind it are durable.
public enum SchedulerEffect: Hashable, Sendable {
    /// Tell an operator and count the notice; nothing else follows from it.
    case tell(SchedulerNotice)
    /// End the conversation with a worker that is gone.
    ///
    /// If the worker has greeted again meanwhile, the new conversation stays.
    case forget(WorkerID)
    /// Give a worker an order.
    case send(AddressedOrder)
    /// Compute a unit in the coordinator; the answer is `unitFinished` or `unitFailed`.
    case compute(LeasedUnit)
    /// Tell the workers that wait for a blob that no worker has it.
    case tellUnavailable(BlobDigest)
    /// Release a job that has ended, and remove its staged files.
    case letGo(JobID)
    /// Remove blobs of the coordinator's store that no running job needs.
    case remove([BlobDigest])
    /// Empty the coordinator's store, because no job runs.
    case clearStore
    /// Show the new state to clients: it is durable, and all actions are done.
    case settle(hasEnded: Bool)
    /// Tell the client that submitted a job that it is accepted.
    case accept(JobID)
}

extension SchedulerEffects {
    /// The actions of one event, in the order in which they must be done, after its records are durable.
    ///
    /// - Notices come first: they describe units by the plans of jobs, and later actions release these jobs.
    /// - Conversations with workers that are gone end before orders are given, because orders are for connected
    ///   workers.
    /// - Orders come before jobs are released: the end of a job revokes its units from workers that still compute them.
    /// - Blobs are removed last, when no job reads them.
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

/// The effects of several events: their facts share one commit, and all actions wait for it.
///
/// The coordinator and the simulation perform a batch in the same way. They set ``deadline`` at once, commit
/// ``records``, and then do the actions of ``inOrder``.
public struct EffectBatch: Sendable {
    private var parts: [SchedulerEffects] = []

    /// Creates an empty batch.
    public init() {}

    /// Adds the effects of an event after the earlier ones.
    public mutating func append(_ effects: SchedulerEffects) { parts.append(effects) }

    /// The facts that must be durable before any action of ``inOrder``.
    public var records: [JournalRecord] { parts.flatMap(\.records) }

    /// The next instant at which `deadlineReached` must be handled, after all these events.
    ///
    /// The deadline does not wait for the commit, because time passes meanwhile.
    public var deadline: SchedulerInstant? { parts.last?.deadline }

    /// Whether a job has ended.
    public var endsJobs: Bool { parts.contains { !$0.endedJobs.isEmpty } }

    /// All actions in order, for the time when ``records`` are durable.
    ///
    /// The actions of each event follow those of the one before it. Clients are told last, because what they are told
    /// must be done: the files of an ended job are gone, and an accepted job can be queried.
    public var inOrder: [SchedulerEffect] {
        var all = parts.flatMap(\.inOrder)
        if !parts.isEmpty { all.append(.settle(hasEnded: endsJobs)) }
        for case .jobAccepted(let header) in records { all.append(.accept(header.id)) }
        return all
    }
}
