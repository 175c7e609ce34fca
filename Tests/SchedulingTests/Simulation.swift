import Identifiers
import JobPlan
import Scheduling
import TestSupport
import Testing

/// A cluster in one value: workers, the network between them and the coordinator, and everything that can go wrong.
///
/// All that happens follows from the seed. Faults are drawn from a budget; when it is used up the world is kind, and
/// every job must come to its end.
struct Simulation {
    /// A worker process as it would behave: it computes what it has begun whatever it is told.
    private struct Worker {
        var id: WorkerID
        var capacity: WorkerCapacity
        var inbox: [WorkerOrder] = []
        var queue: [LeasedUnit] = []
        var computing: [LeasedUnit] = []
        var isAlive = true
        /// Cut off: it computes, but nothing of it arrives.
        var isCutOff = false
    }

    private(set) var scheduler: CheckedScheduler
    /// Everything that the scheduler answered, for comparing two runs.
    private(set) var answers: [SchedulerEffects] = []
    private(set) var cancelled: Set<JobID> = []
    /// Units that fail wherever they are computed.
    private(set) var poisonous: Set<UnitReference> = []
    /// Units whose input is wrong.
    private(set) var unsound: Set<UnitReference> = []

    private var random: SplitMix64
    private var plans: [(job: SmallJob, plan: JobPlan)]
    private var workers: [Worker] = []
    private var network: [(from: WorkerID?, event: SchedulerEvent)] = []
    private var coordinatorWork: [LeasedUnit] = []
    private var deadline: SchedulerInstant?
    private var joinedCount = 0
    private var faultBudget: Int

    init(seed: UInt64, random: SplitMix64, plans: [(job: SmallJob, plan: JobPlan)]) {
        self.random = random
        self.plans = plans
        faultBudget = Int(seed % 25)
        scheduler = CheckedScheduler()
        scheduler.context = "SEED=\(seed)"
        for (job, plan) in plans {
            let units = plan.units.map { UnitReference(job: job.id, unit: $0.index) }
            if chance(1, of: 8) { poisonous.formUnion(units.randomElement(using: &self.random).map { [$0] } ?? []) }
            if chance(1, of: 12) { unsound.formUnion(units.randomElement(using: &self.random).map { [$0] } ?? []) }
        }
    }

    /// What a unit's result is, whoever computes it.
    static func result(of unit: UnitReference) -> UnitResult { .named("\(unit)") }

    /// Lets everything happen until all jobs have ended.
    ///
    /// - Returns: Whether they did within the steps that any of these jobs may need.
    mutating func run() -> Bool {
        for _ in 0..<20_000 {
            step()
            if scheduler.isViolated { return false }
            if plans.isEmpty, scheduler.scheduler.jobStatuses.allSatisfy({ $0.outcome != nil }) { return true }
        }
        return false
    }

    // MARK: - Steps

    private mutating func chance(_ count: Int, of total: Int) -> Bool {
        Int.random(in: 0..<total, using: &random) < count
    }

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<2 where !plans.isEmpty: submit()
        case 2..<4 where workers.count(where: \.isAlive) < 4: addWorker()
        case 4..<8: passTime()
        case 8..<13 where faultBudget > 0: fault()
        case 13..<40: deliver()
        case 40..<50: coordinatorComputes()
        default: workerActs()
        }
    }

    private mutating func submit() {
        let (job, plan) = plans.removeFirst()
        handle(.jobSubmitted(job.header, plan))
    }

    private mutating func addWorker() {
        joinedCount += 1
        let capacity = WorkerCapacity(
            lanes: Int.random(in: 1...3, using: &random),
            memoryBytes: UInt64.random(in: 1...5, using: &random) * 70 << 20
        )
        let worker = Worker(id: WorkerID(rawValue: "w\(joinedCount)"), capacity: capacity)
        workers.append(worker)
        greet(worker)
    }

    private mutating func greet(_ worker: Worker) {
        network.append((worker.id, .workerJoined(worker.id, worker.capacity)))
    }

    /// Some seconds go by; whoever lives and is not cut off is heard, and greets again if it was forgotten.
    private mutating func passTime() {
        scheduler.advance(by: .seconds(Int.random(in: 1...3, using: &random)))
        for position in workers.indices where workers[position].isAlive && !workers[position].isCutOff {
            let worker = workers[position]
            let isKnown = scheduler.scheduler.workerStatuses.contains { $0.id == worker.id }
            if isKnown {
                handle(.workerHeard(worker.id))
            } else {
                workers[position].queue = []
                workers[position].inbox = []
                greet(worker)
            }
        }
        if let deadline, deadline <= scheduler.now { handle(.deadlineReached) }
    }

    private mutating func deliver() {
        let positions = network.indices.filter { index in
            !workers.contains { $0.id == network[index].from && $0.isCutOff }
        }
        guard let position = positions.randomElement(using: &random) else { return }
        // Messages come in any order, and now and then twice.
        let isRepeated = faultBudget > 0 && chance(1, of: 20)
        let event = network[position].event
        if !isRepeated { network.remove(at: position) }
        handle(event)
    }

    private mutating func coordinatorComputes() {
        guard let lease = coordinatorWork.popLast() else { return }
        let outcome = outcome(of: lease)
        handle(event(lease, .coordinator, outcome))
    }

    private mutating func workerActs() {
        guard let position = workers.indices.filter({ workers[$0].isAlive }).randomElement(using: &random) else {
            return
        }
        let worker = workers[position]
        if !worker.inbox.isEmpty, !worker.isCutOff {
            switch workers[position].inbox.removeFirst() {
            case .lease(_, let lease): workers[position].queue.append(lease)
            case .revoke(_, let lease): workers[position].queue.removeAll { $0 == lease }
            }
        } else if worker.computing.count < worker.capacity.lanes, !worker.queue.isEmpty {
            let lease = workers[position].queue.removeFirst()
            workers[position].computing.append(lease)
            network.append((worker.id, .unitStarted(lease.unit, lease.attempt, by: worker.id)))
        } else if let lease = worker.computing.randomElement(using: &random) {
            workers[position].computing.removeAll { $0 == lease }
            network.append((worker.id, event(lease, .worker(worker.id), outcome(of: lease))))
        }
    }

    // MARK: - Outcomes

    private mutating func outcome(of lease: LeasedUnit) -> UnitFailure? {
        if unsound.contains(lease.unit) { return UnitFailure(kind: .badInput, message: "NaN") }
        if poisonous.contains(lease.unit) { return UnitFailure(kind: .world, message: "poison") }
        guard faultBudget > 0, chance(1, of: 15) else { return nil }
        faultBudget -= 1
        return UnitFailure(kind: .world, message: "chance")
    }

    private func event(_ lease: LeasedUnit, _ executor: UnitExecutorName, _ failure: UnitFailure?) -> SchedulerEvent {
        guard let failure else {
            return .unitFinished(lease.unit, lease.attempt, by: executor, Self.result(of: lease.unit), .short)
        }
        return .unitFailed(lease.unit, lease.attempt, by: executor, failure)
    }

    private mutating func handle(_ event: SchedulerEvent) {
        let effects = scheduler.handle(event)
        answers.append(effects)
        deadline = effects.deadline
        coordinatorWork += effects.coordinatorWork
        for order in effects.orders {
            let id: WorkerID
            switch order {
            case .lease(let worker, _), .revoke(let worker, _): id = worker
            }
            guard let position = workers.firstIndex(where: { $0.id == id && $0.isAlive }) else { continue }
            workers[position].inbox.append(order)
        }
    }

    // MARK: - Faults

    private mutating func fault() {
        faultBudget -= 1
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1: killWorker()
        case 2, 3: cutOffOrReconnect()
        case 4: restartCoordinator()
        case 5: repeatGreeting()
        case 6 where chance(1, of: 4): cancelJob()
        default: passTime()
        }
        // At the end of the budget nobody stays cut off.
        if faultBudget == 0 { for position in workers.indices { workers[position].isCutOff = false } }
    }

    /// SIGKILL: what it held is gone; what it had sent may arrive or not, and so may the news of its death.
    private mutating func killWorker() {
        guard let position = workers.indices.filter({ workers[$0].isAlive }).randomElement(using: &random) else {
            return
        }
        let id = workers[position].id
        workers[position].isAlive = false
        let isLost = chance(1, of: 2)
        network.removeAll { $0.from == id && isLost }
        if chance(1, of: 2) { network.append((nil, .workerLeft(id, reason: "killed"))) }
    }

    private mutating func cutOffOrReconnect() {
        guard let position = workers.indices.filter({ workers[$0].isAlive }).randomElement(using: &random) else {
            return
        }
        workers[position].isCutOff.toggle()
        if workers[position].isCutOff { scheduler.advance(by: .seconds(4)) }
    }

    /// The coordinator is killed: orders and results under way may be lost with it.
    private mutating func restartCoordinator() {
        scheduler.checkReplay()
        scheduler.restart()
        coordinatorWork = []
        let isLost = chance(1, of: 2)
        network.removeAll { _ in isLost }
        for position in workers.indices { workers[position].inbox = [] }
        handle(.deadlineReached)
    }

    private mutating func repeatGreeting() {
        let known = Set(scheduler.scheduler.workerStatuses.map(\.id))
        guard let worker = workers.filter({ $0.isAlive && known.contains($0.id) }).randomElement(using: &random)
        else { return }
        greet(worker)
    }

    private mutating func cancelJob() {
        guard let job = scheduler.scheduler.jobStatuses.filter({ $0.outcome == nil }).randomElement(using: &random)
        else { return }
        cancelled.insert(job.id)
        handle(.jobCancelled(job.id))
    }
}
