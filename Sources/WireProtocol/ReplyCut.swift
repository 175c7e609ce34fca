import Identifiers
import UnitOperations

extension ClientReply {
    /// Fields that the items of a list may take in a message; texts count by their length, as ``FieldBudget`` counts.
    private static let listFieldsMax = WireLimits.fieldsMax * 3 / 4

    /// The reply, or as much of its list as a message holds with a number of the items that were left out: the latest
    /// jobs, the first of other lists.
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
        case .log(let lines, let isComplete):
            // Whoever wants the rest asks for what lies behind the last line.
            let kept = Self.fittingCount(lines.lazy.map(\.fieldsMax))
            return .log(Array(lines.prefix(kept)), isComplete: isComplete && kept == lines.count)
        default: return self
        }
    }

    private func cut(_ list: ClientReply, _ further: Int) -> ClientReply {
        further > 0 ? .cut(list, further: further) : self
    }

    /// How many items fit, by what each takes at most.
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

extension WorkerReport {
    fileprivate var fieldsMax: Int {
        16
            + [hello.worker.rawValue, hello.host, hello.regime.kernels, hello.regime.elements].reduce(0) {
                $0 + $1.utf8.count / 2
            }
    }
}
