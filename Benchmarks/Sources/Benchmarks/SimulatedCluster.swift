import Foundation
import Identifiers
import JobPlan
import Scheduling
import UnitOperations

/// A scheduler with workers that compute nothing, in virtual time; the time of every event is measured.
struct SimulatedCluster {
    /// The times of the events of one kind, in microseconds.
    struct Tally {
        private(set) var count = 0
        private(set) var sum = 0.0
        private(set) var largest = 0.0

        var mean: Double { count > 0 ? sum / Double(count) : 0 }

        mutating func add(_ microseconds: Double) {
            count += 1
            sum += microseconds
            largest = max(largest, microseconds)
        }
    }

    /// What happens at an instant.
    private enum Action {
        case heartbeat(Int)
        case start(LeasedUnit, Int)
        case finish(LeasedUnit, Int)
        case stored(BlobReference)
        case ownWork(LeasedUnit)
        case deadline
    }

    private struct Worker {
        var name: WorkerID
        var queue: [LeasedUnit] = []
        var running: [LeasedUnit] = []
    }

    static let lanes = 8
    /// Milliseconds between a worker's signs of life, of an order's way, and of a blob's way to the coordinator.
    private static let (heartbeat, delay, transfer) = (2000, 1, 50)
    /// Seconds that a run may take; a run that takes longer is cut.
    private static let limit = 20.0

    private(set) var scheduler = Scheduler()
    private(set) var tallies: [String: Tally] = [:]
    private(set) var records: [JournalRecord] = []
    private(set) var isCut = false
    private let job: LayeredJob
    private var workers: [Worker]
    private var positions: [WorkerID: Int] = [:]
    /// The actions of each millisecond.
    private var agenda: [[Action]] = []
    private var time = 0
    private var deadline: Int?
    private var sizes: [BlobDigest: BlobReference] = [:]

    init(workers count: Int, _ job: LayeredJob) {
        self.job = job
        workers = (0..<count).map { Worker(name: WorkerID(rawValue: "worker-\($0)")) }
        for (position, worker) in workers.enumerated() { positions[worker.name] = position }
    }

    /// The mean of all events of the run but the job's submission, in microseconds.
    var mean: Double {
        let rest = tallies.filter { $0.key != "submitted" }.values
        let count = rest.reduce(0) { $0 + $1.count }
        return count > 0 ? rest.reduce(0) { $0 + $1.sum } / Double(count) : 0
    }

    /// Lets the workers join, and runs the job to its end.
    mutating func run() {
        for position in workers.indices {
            handle(
                .workerJoined(workers[position].name, WorkerCapacity(lanes: Self.lanes, memoryBytes: 256 << 30)),
                "joined")
            plan(.heartbeat(position), after: position * Self.heartbeat / workers.count)
        }
        handle(.jobSubmitted(job.header, job.plan), "submitted")
        while scheduler.status(of: job.header.id)?.outcome == nil, time < agenda.count {
            let actions = agenda[time]
            agenda[time] = []
            for action in actions { perform(action) }
            guard agenda[time].isEmpty else { continue }
            if tallies.values.reduce(0, { $0 + $1.sum }) > Self.limit * 1e6 {
                isCut = true
                return
            }
            time += 1
        }
    }

    private mutating func plan(_ action: Action, after milliseconds: Int) {
        let instant = time + milliseconds
        while agenda.count <= instant { agenda.append([]) }
        agenda[instant].append(action)
    }

    private mutating func perform(_ action: Action) {
        switch action {
        case .heartbeat(let position):
            let worker = workers[position]
            plan(.heartbeat(position), after: Self.heartbeat)
            guard !worker.running.isEmpty else { return handle(.workerHeard(worker.name), "heard") }
            let units = worker.running.map { UnitProgress(unit: $0, steps: UInt64(time)) }
            handle(.workerProgressed(worker.name, units), "progressed")
        case .start(let lease, let position):
            guard workers[position].running.contains(lease) else { return }
            handle(.unitStarted(lease, by: workers[position].name), "started")
        case .finish(let lease, let position):
            guard let place = workers[position].running.firstIndex(of: lease) else { return }
            workers[position].running.remove(at: place)
            begin(position)
            let result = result(of: lease.unit.unit)
            let timing = UnitTiming(elapsedSeconds: duration(of: lease.unit.unit), kernelSeconds: 0)
            handle(.unitFinished(lease, by: .worker(workers[position].name), result, timing), "finished")
        case .stored(let blob): handle(.blobStored(blob), "stored")
        case .ownWork(let lease):
            let timing = UnitTiming(elapsedSeconds: 0.1, kernelSeconds: 0)
            handle(.unitFinished(lease, by: .coordinator, UnitResult(), timing), "finished")
        case .deadline:
            guard deadline == time else { return }
            deadline = nil
            handle(.deadlineReached, "deadline")
        }
    }

    private mutating func handle(_ event: SchedulerEvent, _ kind: String) {
        var effects = SchedulerEffects()
        let now = SchedulerInstant(sinceStart: .milliseconds(time))
        let start = Self.processorTime
        effects = scheduler.handle(event, at: now)
        tallies[kind, default: Tally()].add((Self.processorTime - start) * 1e6)
        records += effects.records
        for order in effects.orders { obey(order) }
        for lease in effects.coordinatorWork { plan(.ownWork(lease), after: 100) }
        if let next = effects.deadline {
            let instant = max(time, Int((next.sinceStart / .milliseconds(1)).rounded(.up)))
            if instant != deadline {
                deadline = instant
                plan(.deadline, after: instant - time)
            }
        }
    }

    /// Seconds of this thread on a processor, which other processes do not lengthen.
    static var processorTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private mutating func obey(_ order: AddressedOrder) {
        guard let position = positions[order.worker] else { return }
        switch order.order {
        case .lease(let lease):
            workers[position].queue.append(lease)
            begin(position)
        case .revoke(let lease):
            workers[position].queue.removeAll { $0 == lease }
            workers[position].running.removeAll { $0 == lease }
            begin(position)
        case .collect(let digest):
            if let blob = sizes[digest] { plan(.stored(blob), after: Self.transfer) }
        case .discard, .drain, .dismiss: break
        }
    }

    /// Starts queued units on free lanes.
    private mutating func begin(_ position: Int) {
        while workers[position].running.count < Self.lanes, !workers[position].queue.isEmpty {
            let lease = workers[position].queue.removeFirst()
            workers[position].running.append(lease)
            plan(.start(lease, position), after: Self.delay)
            let milliseconds = Int(duration(of: lease.unit.unit) * 1000)
            plan(.finish(lease, position), after: Self.delay + max(1, milliseconds))
        }
    }

    /// Between 0.8 and 1.2 times the planned seconds.
    private func duration(of unit: UnitIndex) -> Double {
        let fraction = Double(unit.position &* 7919 % 1009) / 1009
        return job.plan.units[unit.position].cost.nominalSeconds * (0.8 + 0.4 * fraction)
    }

    private mutating func result(of unit: UnitIndex) -> UnitResult {
        let blobs = (0..<job.plan.units[unit.position].blobCount).map { position in
            BlobReference(digest: .numbered(unit.position + 1, position + 2), byteCount: 1 << 20)
        }
        for blob in blobs { sizes[blob.digest] = blob }
        return UnitResult(blobs: blobs)
    }
}
