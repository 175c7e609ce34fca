import Admission
import Identifiers
import JSONText
import JobPlan
import Scheduling
import UnitOperations

/// The part of the report about how the job ran, which may differ between runs of the same job.
struct ExecutionReport {
    let job: Job
    let build: String
    /// A finished unit's executor and duration.
    let execution: (UnitIndex) -> (executor: UnitExecutorName, timing: UnitTiming)?
    /// The numeric regime of a finished unit's result, if known.
    let regime: (UnitIndex) -> NumericRegime?

    var json: JSONValue {
        var stages: [UnitStage: (units: Int, elapsed: Double, kernels: Double)] = [:]
        var workers: [String: Int] = [:]
        for unit in job.plan.units {
            guard let (executor, timing) = execution(unit.index) else { continue }
            let known = stages[unit.stage] ?? (0, 0, 0)
            stages[unit.stage] = (
                known.units + 1, known.elapsed + timing.elapsedSeconds, known.kernels + timing.kernelSeconds
            )
            workers[executor.description, default: 0] += 1
        }
        return .object([
            .init("kfacd", .string(build)),
            .init(
                "stages",
                .object(
                    stages.sorted { $0.key.title < $1.key.title }.map { stage, sums in
                        .init(
                            stage.title,
                            .object([
                                .init("units", .number("\(sums.units)")), .init("elapsed_seconds", .of(sums.elapsed)),
                                .init("kernel_seconds", .of(sums.kernels)),
                            ]))
                    })),
            .init(
                "units_by_executor",
                .object(workers.sorted { $0.key < $1.key }.map { .init($0.key, .number("\($0.value)")) })),
            .init("numeric_regimes", .array(numericRegimes)),
            // It may name another output, so it is no part of what is the same for the same job.
            .init("job_file", .string(job.source)),
        ])
    }

    /// The count of units of each stage, by numeric regime.
    ///
    /// Results of different regimes agree only up to rounding.
    private var numericRegimes: [JSONValue] {
        var counts: [NumericRegime: [UnitStage: Int]] = [:]
        for unit in job.plan.units {
            if let regime = regime(unit.index) { counts[regime, default: [:]][unit.stage, default: 0] += 1 }
        }
        return counts.sorted { $0.key < $1.key }.map { regime, stages in
            .object([
                .init("kernels", .string(regime.kernels)), .init("elements", .string(regime.elements)),
                .init(
                    "units",
                    .object(
                        stages.sorted { $0.key.title < $1.key.title }.map {
                            .init($0.key.title, .number("\($0.value)"))
                        })),
            ])
        }
    }
}
