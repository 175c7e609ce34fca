import Identifiers
import JobPlan
import Logging
import PushedRuns
import Scheduling
import Supervision
import Telemetry
import UnitOperations
import WireProtocol

/// The page that an operator keeps open.
extension Coordinator {
    /// The most workers that the page shows.
    private static let workersShownMax = 200
    /// The most running jobs whose layers are drawn, and the most columns of a picture.
    private static let gridsMax = 3
    private static let gridColumnsMax = 96
    /// The most warnings that the page shows.
    private static let warningsShownMax = 20
    /// The number of minutes for a worker's rate.
    static let rateMinutes = 10

    /// The sections of the page: running jobs, workers, warnings and ended jobs.
    var overview: [StatusSection] {
        let running = settled.running
        let grids = running.prefix(Self.gridsMax).compactMap { grid(of: $0.id) }
        return [.table(runningTable(running))] + grids.map(StatusSection.grid) + [
            .table(workerTable)
        ] + (runs.summaries(at: 0).isEmpty ? [] : [.table(runTable)]) + [
            .history(
                StatusHistory(
                    "Units finished, by minute", unit: "units",
                    counts: history.throughput.counts(at: history.sinceStart))),
            .table(warningTable), .table(endedTable),
        ]
    }

    // MARK: - Jobs

    private func runningTable(_ statuses: [Scheduler.JobStatus]) -> StatusTable {
        StatusTable(
            "Jobs", columns: ["job", "job file", "state", "done", "stages", "elapsed", "left", "what"], of: statuses,
            limit: Self.jobsShownMax
        ) { status in
            let job = report(status)
            return [
                .text(job.job.rawValue), .text(job.specPath), .state(job.state.rawValue, Self.mood(of: job.state)),
                .share(job.fraction), .stages(scheduler.stages(of: status.id).map(Self.stage)),
                .number(elapsed(job)), .number(job.leftSeconds.map { StatusText.about(seconds: $0) } ?? "–"),
                .text(job.message.isEmpty ? job.activity : job.message),
            ]
        }
    }

    /// The ended jobs, latest first.
    private var endedTable: StatusTable {
        StatusTable(
            "Ended jobs", columns: ["job", "job file", "result", "ended", "took", "units", "cause or output"],
            of: settled.all.filter { $0.outcome != nil }.reversed(), limit: Self.jobsShownMax
        ) { status in
            let job = report(status)
            return [
                .text(job.job.rawValue), .text(job.specPath),
                .state(job.state.rawValue.replacing("_", with: " "), Self.mood(of: job.state)),
                .text(history.clock.endTime(job.job) ?? "–"), .number(elapsed(job)),
                .number("\(job.finishedUnits)/\(job.totalUnits)"),
                .text(job.state == .succeeded ? job.output : job.message),
            ]
        }
    }

    private func elapsed(_ job: JobReport) -> String {
        job.elapsedSeconds.map { StatusText.exactly(.seconds($0)) } ?? "–"
    }

    private static func stage(_ count: Scheduler.StageCount) -> StatusTable.Stage {
        StatusTable.Stage(name: count.stage.spacedName, finished: count.finished, total: count.total)
    }

    private static func mood(of state: JobReport.State) -> StatusTable.Mood {
        switch state {
        case .running: .active
        case .succeeded: .good
        case .paused, .failed, .badInput: .bad
        case .cancelled: .idle
        }
    }

    /// The progress of a job's layers in the stages that work on layers.
    private func grid(of id: JobID) -> StatusGrid? {
        guard let plan = scheduler.plan(of: id), !plan.blocks.isEmpty else { return nil }
        let cells = scheduler.layerCounts(of: id)
        let stages = scheduler.stages(of: id).map(\.stage).filter { cells[$0] != nil }
        guard !stages.isEmpty else { return nil }
        return StatusGrid(
            "Layers of \(id)", stages: stages.map(\.spacedName), names: plan.blocks.map(\.name),
            limit: Self.gridColumnsMax
        ) { stage, layer in
            let count = cells[stages[stage]]?[layer]
            return StatusGrid.Cell(
                finished: count?.finished ?? 0, total: count?.total ?? 0, isActive: count?.isActive ?? false)
        }
    }

    // MARK: - Workers

    private var workerTable: StatusTable {
        StatusTable(
            "Workers",
            columns: ["worker", "host", "state", "lanes", "units/min", "finished", "memory", "regime", "holds"],
            of: workerReports, limit: Self.workersShownMax
        ) { worker in
            let (state, mood): (String, StatusTable.Mood) =
                worker.isDraining ? ("draining", .bad) : worker.leasedUnits > 0 ? ("busy", .active) : ("idle", .idle)
            let rate = conversations[worker.hello.worker]?.rate.perMinute(at: history.sinceStart) ?? 0
            return [
                .text(worker.hello.worker.rawValue), .text(worker.hello.host), .state(state, mood),
                .number("\(worker.startedUnits) of \(worker.hello.lanes) busy"),
                .number("\((rate * 10).rounded() / 10)"), .number("\(worker.finishedUnits)"),
                .number("\(worker.hello.memoryBytes >> 20) MiB"), .text(worker.hello.regime.description),
                .number("\(worker.heldBlobs) blobs, \(worker.heldBytes >> 20) MiB"),
            ]
        }
    }

    /// Counts a unit that a worker finished.
    func countFinishedUnit(of worker: WorkerID) {
        conversations.countFinishedUnit(of: worker, at: history.sinceStart)
    }

    // MARK: - Runs

    private var runTable: StatusTable {
        StatusTable(
            "Pushed runs", columns: ["run", "state", "ranks", "files", "bytes", "from", "last activity", "used by"],
            of: runList.runs, limit: Self.jobsShownMax
        ) { run in
            let state: StatusTable.Cell = run.isComplete ? .state("complete", .good) : .state("incomplete", .active)
            return [
                .text(run.run.rawValue), state, .number("\(run.ranks)"), .number("\(run.files)"),
                .number("\(run.arrivedBytes >> 20) of \(run.announcedBytes >> 20) MiB"),
                .text(run.senders.listed(limit: 3)), .number(StatusText.about(seconds: run.idleSeconds)),
                .text(run.jobs.map(\.rawValue).listed(limit: 3)),
            ]
        }
    }

    // MARK: - Warnings

    /// The warnings, latest first.
    private var warningTable: StatusTable {
        StatusTable(
            "Recent warnings", columns: ["time", "level", "message"], of: history.book.warnings.reversed(),
            limit: Self.warningsShownMax
        ) { entry in
            [.text(entry.time), .state("\(entry.level)", entry.level >= .error ? .bad : .idle), .text(entry.text)]
        }
    }
}
