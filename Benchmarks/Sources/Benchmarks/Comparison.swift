import Foundation

/// The measurements of one job by kfacd and by its peers, over interleaved rounds.
struct Comparison {
    /// One run of the job.
    enum Run {
        case kfacd(JobPhases)
        case peer(Peer.Result)

        var wallSeconds: Double {
            switch self {
            case .kfacd(let phases): phases.outcome.wallSeconds
            case .peer(let result): result.wallSeconds
            }
        }

        /// The largest resident sets of its kinds of processes.
        var peak: String {
            switch self {
            case .kfacd(let phases):
                phases.outcome.peakMebibytes.sorted { $0.key > $1.key }.map { "\($0.key) \($0.value)" }
                    .joined(separator: ", ")
            case .peer(let result): "\(result.peakMebibytes)"
            }
        }

        var difference: String {
            if case .peer(let result) = self { String(format: "%.1e", result.largestDifference) } else { "–" }
        }
    }

    /// The headings of the table.
    static let headings = [
        "the job, by", "wall, s", "useful GF/s", "peak, MiB", "wall / kfacd's", "difference from kfacd",
    ]

    /// What is computed.
    let title: String
    /// d²·rows, summed over all factors; `nil` if the job does more than factors.
    let work: Double?
    /// What was measured, in the order of the table; ratios are to the first.
    private var runs: [(name: String, runs: [Run])] = []
    private var skipped: [(name: String, reason: String)] = []

    init(title: String, work: Double?) {
        self.title = title
        self.work = work
    }

    mutating func add(_ run: Run, of name: String) {
        if let index = runs.firstIndex(where: { $0.name == name }) {
            runs[index].runs.append(run)
        } else {
            runs.append((name, [run]))
        }
    }

    mutating func skip(_ name: String, because reason: String) {
        if !skipped.contains(where: { $0.name == name }) { skipped.append((name, reason)) }
    }

    /// The run of the median wall time of everything that was measured.
    var medians: [(name: String, run: Run)] {
        runs.map { name, runs in (name, median(runs) { $0.wallSeconds }) }
    }

    /// Adds the rows of this job: the runs of the median wall times, and the median of the rounds' ratios.
    func add(to table: inout Table) {
        table.add([title])
        for ((name, runs), (_, middle)) in zip(runs, medians) {
            let ratios = zip(runs, self.runs[0].runs).map { $0.wallSeconds / $1.wallSeconds }
            table.add([
                "  \(name)", fixed(middle.wallSeconds),
                work.map { fixed($0 / middle.wallSeconds / 1e9, 1) } ?? "–", middle.peak,
                fixed(median(ratios) { $0 }), middle.difference,
            ])
        }
        for (name, reason) in skipped { table.add(["  \(name)", reason]) }
    }
}

/// The element in the middle of the order by a number; of an even count, the lower one of the two.
///
/// - Precondition: There is an element.
private func median<Element>(_ elements: [Element], by number: (Element) -> Double) -> Element {
    elements.sorted { number($0) < number($1) }[(elements.count - 1) / 2]
}
