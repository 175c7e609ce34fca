import Foundation

/// How a job of kfacd spent its time, from its report, its daemons' log and the time of its report.
struct JobPhases {
    /// Units that the coordinator computes; all others are the workers'.
    private static let digest = "digest inputs"
    private static let files = "write files"
    /// d²·rows, summed over all factors.
    let work: Double
    let outcome: KfacctlRun.Outcome

    /// The phases and rates; what is not told is a dash.
    ///
    /// Values without another unit are seconds.
    var rows: [(title: String, value: String)] {
        let accepted = outcome.log.time(of: "job accepted")
        let ended = outcome.log.time(of: "job ended")
        let lanes = Double(outcome.log.lanes)
        let workers = stages.keys.filter { $0 != Self.digest && $0 != Self.files }
        let kernels = workers.reduce(0) { $0 + sum($1, "kernel_seconds") } / lanes
        let busy = workers.reduce(0) { $0 + sum($1, "elapsed_seconds") } / lanes
        let units = elapsed(accepted, outcome.reported)
        return [
            ("start, until the job is accepted", text(elapsed(outcome.span.lowerBound, accepted))),
            ("units, until the report is written", text(units)),
            ("publication", text(elapsed(outcome.reported, ended))),
            ("end of the daemons", text(elapsed(ended, outcome.span.upperBound))),
            ("on all lanes of the workers: kernels", fixed(kernels)),
            ("… reading, storing and placing", fixed(busy - kernels)),
            ("… without a unit", text(units.map { $0 - busy })),
            ("coordinator: digests of the inputs", fixed(sum(Self.digest, "elapsed_seconds"))),
            ("coordinator: writing the files, with fsync", fixed(sum(Self.files, "elapsed_seconds"))),
            ("wall time over kernels", fixed(outcome.wallSeconds / kernels)),
            ("factor units, useful GF/s", fixed(work / sum("factor", "elapsed_seconds") * lanes / 1e9, 0)),
            ("their kernels alone, useful GF/s", fixed(work / sum("factor", "kernel_seconds") * lanes / 1e9, 0)),
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
