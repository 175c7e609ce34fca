import Admission
import Foundation
import Identifiers
import JobPlan
import Logging
import Messaging
import Publication
import PushedRuns
import Safetensors
import Scheduling
import SystemPackage
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// The answers to clients.
extension Coordinator {
    /// Answers a client.
    func answer(_ request: ClientRequest, number: UInt64, to peer: RoutingIdentity) async {
        var payload: Frame?
        let reply: ClientReply
        switch request {
        case .submit(let submission):
            reply = await checking(for: peer, number) { await self.submit(submission, for: $0, $1) }
        case .plan(let submission):
            reply = await checking(for: peer, number) { await self.plan(submission, for: $0, $1) }
        case .jobs: reply = .jobs(settled.all.map(briefReport))
        case .status(let id): reply = settled[id].map { .jobs([report($0)]) } ?? unknown(id)
        case .cancel(let id): reply = await cancel(id)
        case .workers: reply = .workers(workerReports)
        case .drain(let worker): reply = drain(worker)
        case .outputs(let id): reply = await outputs(of: id)
        case .runs: reply = .runs(runList)
        case .removeRun(let run): reply = await remove(run)
        // The desks of pushes answer these.
        case .pushOffer, .pushChunk, .pushRows, .pushCommit: return
        case .log(let id, let number): reply = log(of: id, after: number)
        case .outputRange(let id, let path, let offset, let byteCount):
            (reply, payload) = await outputRange(of: id, path, offset, byteCount, for: peer)
        }
        await endpoint.send(.reply(number, reply.fitted), payload: payload, to: peer)
    }

    private func remove(_ run: RunName) async -> ClientReply {
        do throws(RunStoreError) {
            let removed = try await pushDesk.remove(run)
            await rowStreamDesk.giveUp(run)
            logger.notice(
                "a pushed run was removed for a client",
                metadata: [
                    "run": "\(run.rawValue.excerpt)", "files": "\(removed.wholeCount)",
                    LogKeys.bytes: "\(removed.arrivedBytes)",
                ])
            return .runs(
                RunList(runs: [RunReport(removed)], byteCount: runs.usage.used, byteCountMax: runs.usage.limit))
        } catch {
            return .failure(RequestFailure(error))
        }
    }

    private func cancel(_ id: JobID) async -> ClientReply {
        // The client may have heard of the job's files before the job was accepted.
        if settled[id] == nil { await waitForAcceptances() }
        guard let status = settled[id] else { return unknown(id) }
        if status.outcome == nil { happen(.jobCancelled(id)) }
        return .accepted(id, isRunningAlready: status.outcome == nil)
    }

    /// Drains the worker of a name; the part that makes a process's name unique may be left out.
    private func drain(_ name: WorkerID) -> ClientReply {
        let sameName = conversations.workers.keys.filter { $0.lastingName == name.rawValue }
        guard let worker = conversations[name] != nil ? name : sameName.count == 1 ? sameName.first : nil else {
            let known = (sameName.isEmpty ? Array(conversations.workers.keys) : sameName).map(\.rawValue).sorted()
            let list = known.isEmpty ? "none" : known.listed()
            let problem =
                sameName.isEmpty
                ? "there is no such worker. Known workers: \(list)."
                : "several workers have this name: \(list). Name one of them in full."
            return .failure(
                RequestFailure(kind: .badInput, problems: [JobProblem(at: "\(name)", problem)]))
        }
        happen(.drainRequested(worker))
        return .workers(workerReports.filter { $0.hello.worker == worker })
    }

    private func unknown(_ id: JobID) -> ClientReply {
        // The latest jobs, because the client most likely means one of them.
        let known = settled.all.reversed().map(\.id.rawValue).listed()
        return .failure(
            RequestFailure(
                kind: .unknownJob,
                problems: [
                    JobProblem(at: "\(id)", "there is no such job. Known jobs: \(known.isEmpty ? "none" : known).")
                ]))
    }

    // MARK: - Telling

    /// A job's report for clients and the status page.
    func report(_ status: Scheduler.JobStatus) -> JobReport {
        let state: JobReport.State
        var message = ""
        switch status.outcome {
        case nil:
            let pause = journalPause ?? status.pauseReason
            (state, message) = pause.map { (.paused, $0) } ?? (.running, waiting(status.id))
        case .succeeded: state = .succeeded
        case .cancelled: state = .cancelled
        case .failed(let failure):
            (state, message) = (failure.kind == .badInput ? .badInput : .failed, failure.message)
        }
        return JobReport(
            job: status.id, specPath: status.specPath, submittedAt: status.submittedAt,
            finishedUnits: status.finishedUnits, totalUnits: status.totalUnits, fraction: status.fraction,
            state: state, message: message, output: outputPath(of: status.id)?.string ?? "",
            activity: scheduler.activity(of: status.id) ?? "",
            elapsedSeconds: history.clock.elapsed(status.id).map { $0 / .seconds(1) },
            leftSeconds: status.outcome == nil
                ? history.clock.left(status.id, scheduler.work(of: status.id)).map { $0 / .seconds(1) } : nil)
    }

    /// A job's report for a list; many jobs of a list may have failed with long messages, so messages are cut.
    private func briefReport(_ status: Scheduler.JobStatus) -> JobReport {
        var report = report(status)
        report.message = report.message.excerpt
        return report
    }

    /// Why a running job waits, when no worker can go on with it.
    private func waiting(_ id: JobID) -> String {
        guard let largest = conversations.workers.values.map(\.hello.memoryBytes).max() else {
            return "waiting for a worker"
        }
        guard let unit = scheduler.largestUnit(of: id), unit.cost.memoryBytes > largest else { return "" }
        return "the \(unit.title) waits for a worker with \(unit.cost.memoryBytes >> 20) MiB of memory"
    }

    /// The workers' reports for clients and the status page.
    var workerReports: [WorkerReport] {
        scheduler.workerStatuses.compactMap { status in
            conversations[status.id].map {
                WorkerReport(
                    hello: $0.hello, leasedUnits: status.leasedUnits, startedUnits: status.startedUnits,
                    finishedUnits: $0.finishedUnits, heldBlobs: status.heldBlobs, heldBytes: status.heldBytes,
                    isDraining: status.isDraining)
            }
        }
    }

    /// The log lines about a job since this process began.
    private func log(of id: JobID, after number: UInt64) -> ClientReply {
        guard let status = settled[id] else { return unknown(id) }
        // The end is read first, because its line is written after it is settled.
        let hasEnded = status.outcome != nil && !jobs.keys.contains(id)
        let lines = history.book.lines(of: id.rawValue, after: number).map {
            JobLogLine(number: $0.number, time: $0.time, level: "\($0.level)", text: $0.text)
        }
        return .log(lines, isComplete: hasEnded)
    }

    // MARK: - Outputs

    private func outputPath(of id: JobID) -> FilePath? {
        guard let header = scheduler.header(of: id) else { return nil }
        let paths = JobPaths(specPath: header.specPath)
        if let output = header.output { return paths.absolute(output) }
        // A journal of an earlier version does not state the output, so the job file is read.
        return JobSpec.reading(yaml: header.specText, fileName: header.specPath).spec.map {
            paths.absolute($0.output.value)
        }
    }

    private func outputs(of id: JobID) async -> ClientReply {
        guard let status = settled[id], let path = outputPath(of: id) else { return unknown(id) }
        guard status.outcome == .succeeded else {
            return failure(at: "\(id)", "the job has no outputs: it did not succeed (yet).")
        }
        do {
            return .outputs(try await outputDesk.files(of: id, by: owner.coordinator, in: path))
        } catch {
            return failure(at: "\(id)", "\(error)")
        }
    }

    private func outputRange(
        of id: JobID, _ path: String, _ offset: UInt64, _ byteCount: UInt64, for peer: RoutingIdentity
    ) async -> (ClientReply, Frame?) {
        guard let directory = outputPath(of: id), settled[id]?.outcome == .succeeded else {
            return (unknown(id), nil)
        }
        guard await awaitRoom(for: peer) else {
            return (failure(at: path, "too much is on its way already, here or to others; ask again later."), nil)
        }
        do {
            let bytes = try await outputDesk.bytes(of: path, in: directory, offset: offset, byteCount: byteCount)
            guard let bytes else { return (failure(at: path, "the job \(id) has no such file."), nil) }
            return (.outputChunk(offset: offset), bytes)
        } catch {
            return (failure(at: path, "the file cannot be read: \(error)."), nil)
        }
    }

    /// Waits a few seconds until a client may be sent bytes; does not wait for a client that takes nothing.
    private func awaitRoom(for peer: RoutingIdentity) async -> Bool {
        for _ in 0..<100 {
            switch endpoint.roomForClient(peer) {
            case .free: return true
            case .notTaken: return false
            case .crowded: try? await Task.sleep(for: .milliseconds(50))
            }
        }
        return false
    }

    private func failure(at place: String, _ problem: String) -> ClientReply {
        .failure(RequestFailure(kind: .world, problems: [JobProblem(at: place, problem)]))
    }
}

extension Coordinator {
    /// The open input file that a worker's request names.
    func inputFile(_ source: RangeRequest.Source) -> SafetensorsFile? {
        guard case .inputFile(let id, let index) = source, let files = jobs[id]?.inputs.files,
            files.indices.contains(index)
        else { return nil }
        return files[index]
    }
}
