import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import TestSupport
import UnitOperations

/// What goes wrong in a run, and how often, in percent.
struct FaultProfile {
    /// When the world becomes kind, in milliseconds.
    let calmAt: Int
    /// Things that break.
    let count: Int
    let loss: Int
    let duplication: Int
    let delay: Int
    let failure: Int
    let slowUnit: Int
    let stuckUnit: Int
    let slowWorker: Int
    let slowDisk: Int

    /// Whether nothing goes wrong at all.
    var isKind: Bool { count == 0 && loss + duplication + delay + failure + slowUnit + stuckUnit + slowDisk == 0 }

    init(_ random: inout SplitMix64) {
        func draw(_ values: [Int], _ random: inout SplitMix64) -> Int {
            values[Int.random(in: values.indices, using: &random)]
        }
        let isKind = Int.random(in: 0..<12, using: &random) == 0
        // Some disks stay full for longer than any unit may go without progress.
        let isLong = Int.random(in: 0..<8, using: &random) == 0
        calmAt = isKind ? 0 : Int.random(in: isLong ? 120...400 : 10...60, using: &random) * 1000
        count = isKind ? 0 : Int.random(in: 0...14, using: &random)
        loss = isKind ? 0 : draw([0, 0, 1, 3, 10], &random)
        duplication = isKind ? 0 : draw([0, 0, 2, 10], &random)
        delay = isKind ? 0 : draw([0, 0, 2, 10], &random)
        failure = isKind ? 0 : draw([0, 0, 0, 5], &random)
        slowUnit = isKind ? 0 : draw([0, 0, 5], &random)
        stuckUnit = isKind ? 0 : draw([0, 0, 4], &random)
        slowWorker = isKind ? 0 : draw([0, 0, 30], &random)
        slowDisk = isKind ? 0 : draw([0, 0, 0, 10], &random)
    }
}

/// Faults of every kind.
extension Simulation {
    mutating func injectFault() {
        switch roll(0...22) {
        case 0, 1: withWorker { $0.endWorker($1, keepsStore: $0.chance(60)) }
        case 2: withWorker { $0.workers[$1].stalledUntil = $0.time + $0.roll(1000...30_000) }
        case 3, 4: cut()
        case 5: withWorker { $0.reconnect($1) }
        case 6: withWorker { $0.workers[$1].diskFullUntil = $0.time + $0.roll(1000...30_000) }
        case 7: withWorker { $0.damage($1) }
        case 8: withWorker { $0.lose($1) }
        case 9: drainSomebody()
        case 10: withWorker { $0.drain($1) }
        case 11: crashCoordinator()
        case 12: crashPoint = .beforeCommit
        case 13: crashPoint = .afterCommit
        case 14: crashPoint = .between
        case 15: fillDisk()
        case 16: damageCoordinatorStore()
        case 17: loseStaging()
        case 18: leapClock()
        case 21: damageStaging()
        case 19: if coordinator.isUp { coordinator.stalledUntil = time + roll(1000...40_000) }
        case 20 where chance(30): cancelJob()
        default:
            withWorker { simulation, position in simulation.workers[position].storeCapacity = simulation.roll(1...6) }
        }
    }

    /// From now on nothing goes wrong, and what is broken is mended.
    mutating func calm() {
        isCalm = true
        crashPoint = nil
        log.note(time, "calm")
        (coordinator.diskFullUntil, coordinator.storeFullUntil) = (0, 0)
        for position in workers.indices {
            workers[position].cutUpUntil = 0
            workers[position].cutDownUntil = 0
            workers[position].diskFullUntil = 0
            // A store need not hold more than a few units at once.
            workers[position].storeCapacity = chance(70) ? .max : roomForUnits
        }
    }

    /// Blobs of the largest units that a worker with three lanes may compute at once.
    private var roomForUnits: Int {
        let sizes = jobs.flatMap { job in job.plan.units.map { job.plan.blobs(readBy: $0).count + $0.blobCount } }
        return 3 * (sizes.max() ?? 1)
    }

    private mutating func withWorker(_ act: (inout Simulation, Int) -> Void) {
        let alive = workers.indices.filter { workers[$0].isAlive }
        guard let position = alive.randomElement(using: &random) else { return }
        log.note(time, "a fault at \(workers[position].id)")
        act(&self, position)
    }

    private mutating func fillDisk() {
        let until = time + (chance(60) ? roll(1000...30_000) : roll(60_000...300_000))
        if chance(50) { coordinator.diskFullUntil = until } else { coordinator.storeFullUntil = until }
    }

    private mutating func cut() {
        let until = time + roll(500...25_000)
        let direction = roll(0...2)
        withWorker { simulation, position in
            if direction != 1 { simulation.workers[position].cutUpUntil = until }
            if direction != 0 { simulation.workers[position].cutDownUntil = until }
            // A connection that breaks is noticed by both ends, once it is there again.
            if simulation.chance(50) { simulation.reconnect(position) }
        }
    }

    private mutating func reconnect(_ position: Int) {
        workers[position].connection += 1
        workers[position].isWelcome = false
    }

    private mutating func damage(_ position: Int) {
        guard let blob = workers[position].store.keys.randomElement(using: &random) else { return }
        workers[position].store[blob]?.isDamaged = true
        log.note(time, "\(blob) is damaged at \(workers[position].id)")
    }

    /// Blobs vanish from a worker's disk; whether it notices is another thing.
    private mutating func lose(_ position: Int) {
        let blobs = Array(workers[position].store.keys).filter { _ in chance(50) }
        if chance(50) { return drop(blobs, position) }
        for blob in blobs { workers[position].store[blob] = nil }
    }

    private mutating func drainSomebody() {
        let known = coordinator.scheduler.workerStatuses
        guard coordinator.isUp, let worker = known.randomElement(using: &random) else { return }
        happen(.drainRequested(worker.id))
    }

    private mutating func damageCoordinatorStore() {
        guard let blob = coordinator.store.keys.randomElement(using: &random) else { return }
        if chance(50) { coordinator.store[blob]?.isDamaged = true } else { coordinator.store[blob] = nil }
    }

    /// A file that was written and is not published yet is not as it was written any more.
    private mutating func damageStaging() {
        if chance(30) { losePlaces() }
        guard let job = coordinator.staging.keys.sorted().randomElement(using: &random),
            let path = coordinator.staging[job]?.keys.sorted().randomElement(using: &random)
        else { return }
        coordinator.damagedFiles[job, default: []].insert(path)
        log.note(time, "\(path) of \(job) is damaged")
    }

    /// Somebody removes the staging directory of a running job while the coordinator is down.
    private mutating func loseStaging() {
        crashCoordinator()
        guard let job = coordinator.staging.keys.sorted().randomElement(using: &random), chance(30) else { return }
        coordinator.staging[job] = nil
        coordinator.places[job] = nil
    }

    /// The machine slept: the clock has gone on, and nothing else.
    private mutating func leapClock() {
        guard coordinator.isUp else { return }
        coordinator.leap += roll(20_000...600_000)
        coordinator.deadlineTick = nil
        actions.schedule(.deadline(life: coordinator.life), at: time)
    }

    private mutating func cancelJob() {
        let running = coordinator.scheduler.jobStatuses.filter { $0.outcome == nil }
        guard coordinator.isUp, let job = running.randomElement(using: &random) else { return }
        referee.cancelled.insert(job.id)
        happen(.jobCancelled(job.id))
    }
}
