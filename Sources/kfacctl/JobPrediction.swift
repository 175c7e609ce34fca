import CostEstimate
import Dispatch
import FileAccess
import Foundation
import JobPlan
import Scheduling
import SystemPackage
import UnitOperations

/// The time and the room that `kfacctl run` would need for a job on this machine.
struct JobPrediction {
    /// A predicted time with the age of the rates that it comes from.
    struct Time {
        let estimate: JobEstimate
        /// When the rates were measured.
        let measuredAt: Date
    }

    /// The time, or why there is none.
    let time: Result<Time, any Error>
    private let plan: JobPlan
    /// The directory of the outputs, or the nearest one above it that exists.
    let output: FilePath
    /// The directory of the daemons' files, or the nearest one above it that exists.
    let state: FilePath

    /// Predicts a job.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - lanes: The lanes of all workers.
    ///   - measuring: Whether the machine may be measured.
    /// - Returns: The prediction.
    static func made(
        of job: JobCheck.CheckedJob, lanes: Int, measuring: MachineRating.Measuring
    ) async -> JobPrediction {
        await withCheckedContinuation { continuation in
            // The measurement keeps its thread busy for a second.
            DispatchQueue(label: "kfacctl.rates").async {
                continuation.resume(returning: JobPrediction(of: job, lanes: lanes, measuring: measuring))
            }
        }
    }

    /// The predicted seconds of a job that begins now, if they are worth their price.
    ///
    /// A short job is not kept waiting for a measurement.
    static func secondsIfCheap(of job: JobCheck.CheckedJob, lanes: Int) async -> Double? {
        let nominal = job.plan.units.reduce(0) { $0 + $1.cost.nominalSeconds }
        let measuring: MachineRating.Measuring = nominal < 30 ? .never : .whenUnknown
        return try? await made(of: job, lanes: lanes, measuring: measuring).time.get().estimate.seconds
    }

    private init(of job: JobCheck.CheckedJob, lanes: Int, measuring: MachineRating.Measuring) {
        let state = MachineRating.existing(TemporaryPlace.forRun(named: nil).path)
        output = MachineRating.existing(job.output)
        self.state = state
        plan = job.plan
        time = Result {
            let rating = MachineRating(
                lanes: lanes, output: job.output, state: state, merges: job.plan.mergeSamples)
            let (record, diskRate) = try rating.rates(measuring)
            let estimate = JobEstimate(
                of: job.plan, rates: record.rates, lanes: lanes,
                coordinatorLanes: SchedulerSettings().coordinatorLanes, diskRate: diskRate)
            return Time(estimate: estimate, measuredAt: Date(timeIntervalSince1970: record.measuredAt))
        }
    }

    // MARK: - For people

    /// The sentences of `kfacctl plan`.
    var lines: [String] {
        let disk = DiskEstimate(of: plan)
        return [
            timeLine,
            "disk: \(Quantity.bytes(disk.outputBytes)) of outputs, staged in their directory\(Self.free(output))",
            "disk while it runs: at most \(Quantity.bytes(disk.workerBytes)) of the workers' results and "
                + "\(Quantity.bytes(disk.coordinatorBytes)) of the coordinator's in \(state)\(Self.free(state))",
        ]
    }

    private var timeLine: String {
        switch time {
        case .success(let time):
            let estimate = time.estimate
            let parts = [
                ("kernels", estimate.parts.kernels), ("reading", estimate.parts.reading),
                ("writing", estimate.parts.writing), ("handling of units", estimate.parts.handling),
            ]
            let named = parts.filter { $0.1 >= estimate.seconds / 100 }.map { name, seconds in
                "\(name) \(Quantity.about(seconds: seconds))"
            }
            let lanes = "\(estimate.lanes) lane\(estimate.lanes == 1 ? "" : "s")"
            return "time: about \(Quantity.about(seconds: estimate.seconds)) on this machine (\(lanes); "
                + "\(named.joined(separator: ", "))), by rates measured at \(Self.time(time.measuredAt))"
        case .failure(let error):
            return "time: not predicted, because this machine cannot be measured: \(Self.text(error))"
        }
    }

    private static func text(_ error: any Error) -> String { (error as? CommandFailure)?.message ?? "\(error)" }

    private static func free(_ directory: FilePath) -> String {
        guard let room = try? FileSystemRoom(of: directory) else { return "" }
        return " (\(Quantity.bytes(room.free)) free)"
    }

    private static func time(_ date: Date) -> String { date.formatted(.iso8601) }

    // MARK: - For programs

    /// The members of the JSON text.
    var members: [String: Any] {
        let disk = DiskEstimate(of: plan)
        var members: [String: Any] = [
            "output_bytes": disk.outputBytes, "worker_store_bytes": disk.workerBytes,
            "coordinator_store_bytes": disk.coordinatorBytes, "state_directory": state.string,
        ]
        members["output_free_bytes"] = (try? FileSystemRoom(of: output))?.free
        members["state_free_bytes"] = (try? FileSystemRoom(of: state))?.free
        var all: [String: Any] = ["disk": members]
        if case .success(let time) = time {
            let parts = time.estimate.parts
            all["time"] = [
                "seconds": time.estimate.seconds, "lanes": time.estimate.lanes, "kernel_seconds": parts.kernels,
                "reading_seconds": parts.reading, "writing_seconds": parts.writing,
                "handling_seconds": parts.handling, "measured_at": time.measuredAt.timeIntervalSince1970,
            ]
        }
        return all
    }
}
