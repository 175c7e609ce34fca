import Identifiers
import UnitOperations

extension ClientReply {
    /// The most fields that the items of a list may take in a message; texts count as in ``FieldBudget``.
    private static let listFieldsMax = WireLimits.fieldsMax * 3 / 4

    /// The reply, cut to what a message holds.
    ///
    /// A cut list has the latest jobs, or the first items of other lists, and the number of items left out.
    public var fitted: ClientReply {
        switch self {
        case .jobs(let jobs):
            let kept = Self.fittingCount(jobs.lazy.reversed().map(\.fieldsMax))
            return cut(.jobs(Array(jobs.suffix(kept))), jobs.count - kept)
        case .workers(let workers):
            let kept = Self.fittingCount(workers.lazy.map(\.fieldsMax))
            return cut(.workers(Array(workers.prefix(kept))), workers.count - kept)
        case .outputs(let files):
            let kept = Self.fittingCount(files.lazy.map { 4 + $0.path.utf8.count / 2 })
            return cut(.outputs(Array(files.prefix(kept))), files.count - kept)
        case .runs(let list):
            let kept = Self.fittingCount(list.runs.lazy.map(\.fieldsMax))
            var shown = list
            shown.runs = Array(list.runs.prefix(kept))
            return cut(.runs(shown), list.runs.count - kept)
        case .log(let lines, let isComplete):
            // The client asks for the rest by the number of the last line.
            let kept = Self.fittingCount(lines.lazy.map(\.fieldsMax))
            return .log(Array(lines.prefix(kept)), isComplete: isComplete && kept == lines.count)
        default: return self
        }
    }

    private func cut(_ list: ClientReply, _ further: Int) -> ClientReply {
        further > 0 ? .cut(list, further: further) : self
    }

    /// The number of items that fit, by the most fields that each takes.
    private static func fittingCount(_ costs: some Sequence<Int>) -> Int {
        var (count, fields) = (0, 0)
        for cost in costs {
            fields += cost
            guard fields <= listFieldsMax else { break }
            count += 1
        }
        return count
    }
}

extension JobLogLine {
    fileprivate var fieldsMax: Int {
        8 + [time, level, text].reduce(0) { $0 + $1.utf8.count / 2 }
    }
}

extension JobReport {
    fileprivate var fieldsMax: Int {
        16 + [job.rawValue, specPath, message, output, activity].reduce(0) { $0 + $1.utf8.count / 2 }
    }
}

extension RunReport {
    fileprivate var fieldsMax: Int {
        20 + ([run.rawValue] + senders + jobs.map(\.rawValue)).reduce(0) { $0 + 2 + $1.utf8.count / 2 }
    }
}

extension WorkerReport {
    fileprivate var fieldsMax: Int {
        16
            + [hello.worker.rawValue, hello.host, hello.regime.kernels, hello.regime.elements].reduce(0) {
                $0 + $1.utf8.count / 2
            }
    }
}
