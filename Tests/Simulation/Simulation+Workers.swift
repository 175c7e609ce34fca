import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// What workers do.
extension Simulation {
    mutating func startWorker(_ store: OrderedDictionary<BlobDigest, SimulatedWorker.Blob>) {
        let id = WorkerID(rawValue: "w\(workers.count + 1)")
        let largest = jobs.compactMap { $0.plan.largestWorkerUnit?.cost.memoryBytes }.max() ?? 0
        let memory = UInt64(roll(1...4)) * largest + UInt64(roll(0...1)) * largest / 2
        // A store that cannot hold the blobs of one unit loses some of them each time, until the job ends. So each
        // store here can hold them.
        let fewest = jobs.flatMap { $0.plan.units.map(\.blobCount) }.max() ?? 0
        var worker = SimulatedWorker(
            id: id, capacity: WorkerCapacity(lanes: roll(1...3), memoryBytes: memory, regime: regimeOfNewWorker()),
            storeCapacity: isCalm || chance(50) ? .max : max(fewest, roll(3...12)))
        worker.store = store
        if mishap(faults.slowWorker) { worker.slowness = roll(5...30) }
        positions[id] = workers.count
        workers.append(worker)
        actions.schedule(.beat(workers.count - 1), at: time)
    }

    /// In a mixed cluster, half of the workers round in another way.
    private mutating func regimeOfNewWorker() -> NumericRegime {
        isMixed && chance(50) ? NumericRegime(kernels: "another", elements: "fp32") : .unnamed
    }

    /// The process is gone at once; another takes its place, with its store or without.
    mutating func endWorker(_ position: Int, keepsStore: Bool) {
        guard workers[position].isAlive else { return }
        log.note(time, "\(workers[position].id) ends")
        workers[position].isAlive = false
        let store = keepsStore ? workers[position].store : [:]
        actions.schedule(.startWorker(store: store), at: time + roll(200...15_000))
    }

    // MARK: - Signs of life

    mutating func beat(_ position: Int) {
        guard workers[position].isAlive else { return }
        actions.schedule(
            .beat(position), at: time + (workers[position].isWelcome ? roll(1500...3000) : roll(300...700)))
        guard workers[position].stalledUntil <= time else { return }
        guard workers[position].isWelcome else {
            let worker = workers[position]
            return send(.hello(connection: worker.connection, worker.capacity), from: position)
        }
        var progress: [UnitProgress] = []
        var wanted: [BlobDigest] = []
        for number in workers[position].computing.indices {
            let computation = workers[position].computing[number]
            if computation.isComputing, !computation.isStuck { workers[position].computing[number].steps += 1 }
            let steps = workers[position].computing[number].steps
            progress.append(UnitProgress(unit: computation.lease.lease, steps: steps))
            for (blob, asked) in computation.missing where asked + 4000 < time {
                wanted.append(blob)
                workers[position].computing[number].missing[blob] = time
            }
        }
        send(.heartbeat(progress), from: position)
        for blob in wanted { send(.want(blob), from: position) }
        if workers[position].isDraining { send(.draining, from: position) }
    }

    // MARK: - Orders

    mutating func obey(_ message: DownwardMessage, _ id: WorkerID) {
        guard let position = positions[id], workers[position].isAlive else { return }
        guard workers[position].stalledUntil <= time else {
            // What comes while the process is stopped is read when it goes on.
            return actions.schedule(.arriveAtWorker(message, id), at: workers[position].stalledUntil)
        }
        log.note(time, "\(id) hears \(message)")
        switch message {
        case .welcome: beWelcome(position)
        case .unknownWorker:
            workers[position].isWelcome = false
            workers[position].queue = []
        case .lease(let lease):
            guard !workers[position].isDraining else {
                let failure = UnitFailure(kind: .inputMissing, message: "the worker leaves")
                return send(.failed(lease.lease, failure), from: position)
            }
            let worker = workers[position]
            let isThere =
                worker.queue.contains { $0.lease == lease.lease }
                || worker.computing.contains { $0.lease.lease == lease.lease }
            if !isThere { workers[position].queue.append(lease) }
            actions.schedule(.work(position), at: time)
        case .revoke(let lease):
            workers[position].queue.removeAll { $0.lease == lease }
            workers[position].computing.removeAll { $0.lease.lease == lease }
            actions.schedule(.work(position), at: time)
        case .collect(let blob): upload(blob, position)
        case .drain: drain(position)
        case .dismiss:
            guard workers[position].isDraining, workers[position].computing.isEmpty else { return }
            send(.goodbye, from: position)
            endWorker(position, keepsStore: false)
        case .bytes(let blob): take(blob, position)
        case .unavailable(let blob): giveUp(blob, position)
        case .discard(let blob): drop([blob], position)
        }
    }

    private mutating func beWelcome(_ position: Int) {
        guard !workers[position].isWelcome else { return }
        workers[position].isWelcome = true
        offer(position)
        if workers[position].isDraining { send(.draining, from: position) }
    }

    private mutating func offer(_ position: Int) {
        let blobs = workers[position].store.map { BlobReference(digest: $0.key, byteCount: $0.value.byteCount) }
        if !blobs.isEmpty { send(.held(blobs), from: position) }
    }

    mutating func drain(_ position: Int) {
        guard workers[position].isAlive, !workers[position].isDraining else { return }
        workers[position].isDraining = true
        workers[position].queue = []
        send(.draining, from: position)
    }

    // MARK: - Blobs

    private mutating func upload(_ blob: BlobDigest, _ position: Int) {
        guard let held = workers[position].store[blob] else { return send(.collectFailure(blob), from: position) }
        send(.upload(BlobReference(digest: blob, byteCount: held.byteCount), isDamaged: held.isDamaged), from: position)
    }

    /// An input has come.
    private mutating func take(_ blob: BlobReference, _ position: Int) {
        guard workers[position].computing.contains(where: { $0.missing[blob.digest] != nil }) else { return }
        guard workers[position].diskFullUntil <= time else {
            return fail(position, .noSpace, "the disk is full") { $0.missing[blob.digest] != nil }
        }
        workers[position].store[blob.digest] = SimulatedWorker.Blob(byteCount: blob.byteCount)
        for number in workers[position].computing.indices {
            workers[position].computing[number].missing[blob.digest] = nil
        }
        send(.held([blob]), from: position)
        evict(position)
        actions.schedule(.work(position), at: time)
    }

    /// An input is not to be had.
    private mutating func giveUp(_ blob: BlobDigest, _ position: Int) {
        fail(position, .inputMissing, "\(blob) is not to be had") { $0.missing[blob] != nil }
    }

    private mutating func fail(
        _ position: Int, _ kind: UnitFailure.Kind, _ message: String,
        where isMeant: (SimulatedWorker.Computation) -> Bool
    ) {
        for computation in workers[position].computing where isMeant(computation) {
            send(.failed(computation.lease.lease, UnitFailure(kind: kind, message: message)), from: position)
        }
        workers[position].computing.removeAll(where: isMeant)
        actions.schedule(.work(position), at: time)
    }

    mutating func drop(_ blobs: [BlobDigest], _ position: Int) {
        let gone = blobs.filter { workers[position].store.removeValue(forKey: $0) != nil }
        if !gone.isEmpty { send(.dropped(gone), from: position) }
    }

    mutating func evict(_ position: Int) {
        let gone = workers[position].evict()
        if !gone.isEmpty { send(.dropped(gone), from: position) }
    }

    // MARK: - Lanes

    mutating func work(_ position: Int) {
        guard workers[position].isAlive else { return }
        guard workers[position].stalledUntil <= time else {
            return actions.schedule(.work(position), at: workers[position].stalledUntil)
        }
        while workers[position].computing.count < workers[position].capacity.lanes, !workers[position].queue.isEmpty {
            let lease = workers[position].queue.removeFirst()
            nextToken += 1
            workers[position].computing.append(SimulatedWorker.Computation(lease: lease, token: nextToken))
            send(.started(lease.lease), from: position)
        }
        for number in workers[position].computing.indices where !workers[position].computing[number].isComputing {
            look(position, number)
        }
    }

    /// Looks for a unit's inputs, and computes it once all are there.
    private mutating func look(_ position: Int, _ number: Int) {
        for blob in workers[position].computing[number].lease.inputs.blobs {
            if let held = workers[position].store[blob], !held.isDamaged { continue }
            // What is not what its name says is discarded.
            drop([blob], position)
            guard workers[position].computing[number].missing[blob] == nil else { continue }
            workers[position].computing[number].missing[blob] = time
            send(.want(blob), from: position)
        }
        guard workers[position].computing[number].missing.isEmpty else { return }
        workers[position].computing[number].isComputing = true
        workers[position].computing[number].isStuck = mishap(faults.stuckUnit)
        let token = workers[position].computing[number].token
        let slowness = mishap(faults.slowUnit) ? roll(5...20) : 1
        let duration = roll(100...2000) * slowness * (isCalm ? 1 : workers[position].slowness)
        actions.schedule(.computed(position, token: token), at: time + duration)
    }

    mutating func finishComputing(_ position: Int, _ token: Int) {
        guard workers[position].isAlive,
            let number = workers[position].computing.firstIndex(where: { $0.token == token })
        else { return }
        let worker = workers[position]
        let isStuck = worker.computing[number].isStuck && !isCalm
        guard !isStuck, worker.stalledUntil <= time else {
            let later = isStuck ? faults.calmAt + 1 : worker.stalledUntil
            return actions.schedule(.computed(position, token: token), at: max(time + 1, later))
        }
        let computation = workers[position].computing.remove(at: number)
        actions.schedule(.work(position), at: time)
        let lease = computation.lease
        let job = jobs[lease.job]
        let content = job.contents[lease.lease.unit.unit.position]
        func failed(_ kind: UnitFailure.Kind, _ message: String) -> UpwardMessage {
            .failed(lease.lease, UnitFailure(kind: kind, message: message))
        }
        if unsound.contains(content) { return send(failed(.badInput, Self.badInput), from: position) }
        if poison.contains(content) { return send(failed(.world, Self.poison), from: position) }
        if mishap(faults.failure) { return send(failed(.world, "chance"), from: position) }
        guard worker.diskFullUntil <= time else { return send(failed(.noSpace, "the disk is full"), from: position) }
        let unit = lease.lease.unit.unit
        let result = job.result(of: unit, from: lease.inputs, in: worker.capacity.regime)
        referee.noteComputed(
            result, instead: job.results[unit.position],
            Referee.Origin(
                unit: content, content: job.content(of: unit, from: lease.inputs), regime: worker.capacity.regime))
        for blob in result.blobs {
            workers[position].store[blob.digest] = SimulatedWorker.Blob(byteCount: blob.byteCount)
        }
        send(.finished(lease.lease, result, seconds: 1), from: position)
        evict(position)
    }
}
