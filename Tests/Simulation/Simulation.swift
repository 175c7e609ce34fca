import Identifiers
import JobJournal
import JobPlan
import OrderedCollections
import Scheduling
import TestSupport

/// A cluster in one value: coordinator, journal, workers, their disks and the network between them, in virtual time.
///
/// All that happens follows from the seed. Faults happen until the calm; from then on the world is kind, and every job
/// must come to its end.
struct Simulation {
    let seed: UInt64
    var random: SplitMix64
    let faults: FaultProfile
    /// Whether its workers compute in two numeric regimes.
    let isMixed: Bool
    var time = 0
    var actions = EventQueue<Action>()
    var coordinator: SimulatedCoordinator
    var journal: any SimulatedJournal
    var workers: [SimulatedWorker] = []
    var positions: [WorkerID: Int] = [:]
    var jobs: [SimulatedJob]
    var jobIDs: [JobID]
    var referee: Referee
    var nextToken = 0
    var isCalm = false
    var crashPoint: CrashPoint?
    /// Contents whose units fail wherever they are computed, and those whose input is wrong.
    var poison: Set<UInt64> = []
    var unsound: Set<UInt64> = []
    var stepCount = 0
    var log: EventLog

    /// Sets up what a seed describes.
    ///
    /// - Parameters:
    ///   - seed: Decides everything.
    ///   - journal: Where facts become durable.
    ///   - keepsLog: Whether everything that happens is written down.
    init(seed: UInt64, journal: any SimulatedJournal, keepsLog: Bool = false) {
        self.seed = seed
        self.journal = journal
        isMixed = seed % 4 == 3
        var random = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        faults = FaultProfile(&random)
        jobs = Self.jobs(&random)
        jobIDs = jobs.indices.map { JobID(rawValue: "job-\($0 + 1)") }
        let settings = Self.settings(&random)
        coordinator = SimulatedCoordinator(settings: settings)
        referee = Referee(settings: settings)
        log = EventLog(isKept: keepsLog)
        self.random = random
        spoil()
        actions.schedule(.startCoordinator, at: 0)
        for _ in 0..<roll(1...3) { actions.schedule(.startWorker(store: [:]), at: roll(0...2000)) }
        for position in jobs.indices { actions.schedule(.submit(position), at: roll(0...(position * 12_000 + 500))) }
        for _ in 0..<faults.count { actions.schedule(.fault, at: roll(0...faults.calmAt)) }
        actions.schedule(.calm, at: faults.calmAt)
    }

    /// Lets everything happen until all jobs have ended, and checks what came of them.
    mutating func run() async throws {
        while referee.violations.isEmpty, !isOver {
            guard stepCount < 30_000, let (instant, action) = actions.next() else {
                let unfinished = coordinator.scheduler.jobStatuses.filter { $0.outcome == nil }
                referee.violations.append(
                    "not all jobs have ended after \(stepCount) steps and \(time / 1000) seconds: "
                        + unfinished.map { "\($0.id) \($0.finishedUnits) of \($0.totalUnits)" }.joined(separator: ", "))
                return
            }
            time = max(time, instant)
            stepCount += 1
            perform(action)
            if !journal.unwritten.isEmpty { try await journal.write() }
            if coordinator.isStarting { takeUp(try await journal.reopen()) }
        }
        if referee.violations.isEmpty { checkOutcomes() }
    }

    /// Whether nothing is left to happen that matters.
    private var isOver: Bool {
        isCalm && coordinator.isUp && !coordinator.isCommitting && jobIDs.allSatisfy { referee.outcomes[$0] != nil }
    }

    private mutating func perform(_ action: Action) {
        switch action {
        case .arriveAtCoordinator(let message, let worker): receive(message, from: worker)
        case .arriveAtWorker(let message, let worker): obey(message, worker)
        case .beat(let position): beat(position)
        case .work(let position): work(position)
        case .computed(let position, let token): finishComputing(position, token)
        case .turn(let life) where life == coordinator.life: turn()
        case .commit(let life) where life == coordinator.life: commit()
        case .deadline(let life) where life == coordinator.life: tick()
        case .ownWork(let lease, let life) where life == coordinator.life: finishOwnWork(lease)
        case .turn, .commit, .deadline, .ownWork: break
        case .startCoordinator: startCoordinator()
        case .startWorker(let store): startWorker(store)
        case .submit(let job): submit(job)
        case .fault: if !isCalm { injectFault() }
        case .calm: calm()
        }
    }

    // MARK: - Chance

    mutating func roll(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    mutating func chance(_ percent: Int) -> Bool { percent > 0 && Int.random(in: 0..<100, using: &random) < percent }

    /// A fault's chance: none once the world is kind.
    mutating func mishap(_ percent: Int) -> Bool { !isCalm && chance(percent) }

    private static func jobs(_ random: inout SplitMix64) -> [SimulatedJob] {
        let all = SimulatedJob.all
        let first = Int.random(in: 0..<all.count / 2, using: &random) * 2
        switch Int.random(in: 0..<8, using: &random) {
        case 0...3: return [all[first]]
        // The same with a task more, and the very same again.
        case 4...5: return [all[first], all[first + 1]]
        case 6: return [all[first], all[first]]
        default: return [all[first], all[Int.random(in: 0..<all.count, using: &random)], all[first + 1]]
        }
    }

    private static func settings(_ random: inout SplitMix64) -> SchedulerSettings {
        var settings = SchedulerSettings()
        settings.workerTimeout = .seconds(10)
        settings.progressTimeout = .seconds(20)
        settings.collectionTimeout = .seconds(15)
        settings.stragglerMinimum = .seconds(4)
        settings.coordinatorLanes = Int.random(in: 1...2, using: &random)
        settings.collectionsPerWorker = Int.random(in: 1...4, using: &random)
        settings.queuedUnitsPerWorker = Int.random(in: 0...2, using: &random)
        settings.queuedBriefUnitsPerWorker = Int.random(in: 0...8, using: &random)
        settings.passesMax = Int.random(in: 0...3, using: &random)
        return settings
    }

    /// Some jobs cannot be done.
    private mutating func spoil() {
        for job in jobs {
            if chance(8), let content = job.contents.randomElement(using: &random) { poison.insert(content) }
            if chance(5), let content = job.contents.randomElement(using: &random) { unsound.insert(content) }
        }
    }

    // MARK: - Jobs

    /// A user submits a job, again and again until it is durable.
    private mutating func submit(_ position: Int) {
        let id = jobIDs[position]
        guard referee.accepted[id] == nil else { return }
        actions.schedule(.submit(position), at: time + 5000)
        guard coordinator.isUp else { return }
        happen(.jobSubmitted(header(of: position), jobs[position].plan))
    }

    private func header(of position: Int) -> JobHeader {
        JobHeader(
            id: jobIDs[position], fingerprint: Fingerprint.digest(UInt64(position), 1),
            specText: jobs[position].specText, specPath: "/jobs/\(position).yaml", overwrites: false, submittedAt: 0)
    }

    func position(of job: JobID) -> Int { jobIDs.firstIndex(of: job) ?? 0 }

    // MARK: - Messages

    /// Sends something to the coordinator; it may be lost, come late or twice.
    mutating func send(_ message: UpwardMessage, from position: Int) {
        let worker = workers[position]
        guard worker.isAlive, time >= worker.cutUpUntil || mishapOutlives(worker.cutUpUntil) else { return }
        for delay in delays() {
            let arrival = max(time, worker.cutUpUntil) + delay
            actions.schedule(.arriveAtCoordinator(message, from: worker.id), at: arrival)
        }
    }

    /// Sends something to a worker.
    mutating func send(_ message: DownwardMessage, to id: WorkerID) {
        guard let position = positions[id] else { return }
        let worker = workers[position]
        guard time >= worker.cutDownUntil || mishapOutlives(worker.cutDownUntil) else { return }
        for delay in delays() {
            actions.schedule(.arriveAtWorker(message, id), at: max(time, worker.cutDownUntil) + delay)
        }
    }

    /// What is sent into a broken connection is kept by the network now and then, and comes when it is whole again.
    private mutating func mishapOutlives(_ instant: Int) -> Bool { time < instant && chance(50) }

    /// How long each copy of a message takes; none when it is lost.
    private mutating func delays() -> [Int] {
        if mishap(faults.loss) { return [] }
        let longest = mishap(faults.delay) ? 9000 : 60
        return mishap(faults.duplication) ? [roll(1...longest), roll(1...9000)] : [roll(1...longest)]
    }
}

/// Everything that happened, as text: for a seed that fails, and for comparing two processes.
struct EventLog {
    let isKept: Bool
    private(set) var lines: [String] = []

    init(isKept: Bool) { self.isKept = isKept }

    /// Writes a line down.
    mutating func note(_ time: Int, _ line: @autoclosure () -> String) {
        if isKept { lines.append("\(time): \(line())") }
    }
}
