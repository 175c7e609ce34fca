import Foundation

/// How a job of kfacd spent its time, from its report, its daemons' log and the time of its report.
struct JobPhases {
    /// Units that the coordinator computes; all others are the workers'.
    private static let digest = "digest inputs"
    private static let files = "write files"
    /// d²·rows, summed over all factors.
    let work: Double
    let outcome: KfacctlRun.Outcome

    /// The names of the values; those without another unit are seconds.
    static let titles = [
        "start, until the job is accepted", "units, until the report is written", "publication", "end of the daemons",
        "on all lanes of the workers: kernels", "… reading, storing and placing", "… without a unit",
        "coordinator: digests of the inputs", "coordinator: writing the files, with fsync", "wall time over kernels",
        "factor units, useful GF/s", "their kernels alone, useful GF/s",
    ]

    /// The values; a phase that cannot be told is a dash.
    var values: [String] {
        let accepted = outcome.log.time(of: "job accepted")
        let ended = outcome.log.time(of: "job ended")
        let lanes = Double(outcome.log.lanes)
        let workers = stages.keys.filter { $0 != Self.digest && $0 != Self.files }
        let kernels = workers.reduce(0) { $0 + sum($1, "kernel_seconds") } / lanes
        let busy = workers.reduce(0) { $0 + sum($1, "elapsed_seconds") } / lanes
        let units = elapsed(accepted, outcome.reported)
        let factor = (elapsed: sum("factor", "elapsed_seconds"), kernels: sum("factor", "kernel_seconds"))
        return [
            text(elapsed(outcome.span.lowerBound, accepted)), text(units), text(elapsed(outcome.reported, ended)),
            text(elapsed(ended, outcome.span.upperBound)), fixed(kernels), fixed(busy - kernels),
            text(units.map { $0 - busy }), fixed(sum(Self.digest, "elapsed_seconds")),
            fixed(sum(Self.files, "elapsed_seconds")), fixed(outcome.wallSeconds / kernels),
            fixed(work / factor.elapsed * lanes / 1e9, 0), fixed(work / factor.kernels * lanes / 1e9, 0),
        ]
    }

    private var stages: [String: [String: Any]] {
        (outcome.report["run"] as? [String: Any])?["stages"] as? [String: [String: Any]] ?? [:]
    }

    private func sum(_ stage: String, _ key: String) -> Double { (stages[stage]?[key] as? NSNumber)?.doubleValue ?? 0 }

    private func elapsed(_ start: Date?, _ end: Date?) -> Double? {
        start.flatMap { start in end.map { $0.timeIntervalSince(start) } }
    }

    private func text(_ seconds: Double?) -> String { seconds.map { fixed($0) } ?? "–" }
}
