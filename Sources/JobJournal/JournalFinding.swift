/// A fault that a journal found at its opening, for the operator.
public enum JournalFinding: Equatable, Sendable, CustomStringConvertible {
    /// The database was damaged; a new database has what could be read.
    case damaged(path: String, cause: String, aside: String?, rowsKept: Int)
    /// Rows differ from what was written, and were left out.
    case rowsDamaged(path: String, rows: [Int64], aside: String?)
    /// The last rows that were written are missing.
    case tailLost(path: String, lastRow: Int64, expected: Int64, aside: String?)
    /// The database belongs to another coordinator or another program; it was set aside.
    case foreign(path: String, aside: String?)
    /// The file beside the journal was damaged or missing; it was made anew, and an earlier loss cannot be seen.
    case witnessLost(path: String)
    /// A job was accepted and ran, and nothing else about it is known.
    case jobLost(job: String, spec: String, output: String?)

    /// The job that is lost, if one is.
    public var lostJob: LostJob? {
        guard case .jobLost(let job, _, let output) = self else { return nil }
        return LostJob(id: job, output: output)
    }

    /// The sentence for the operator.
    public var description: String {
        switch self {
        case .damaged(let path, let cause, let aside, let kept):
            "\(path): the journal is damaged: \(cause). \(kept) records could be read and are used; what is missing is "
                + "computed again.\(Self.told(aside)) Check the disk."
        case .rowsDamaged(let path, let rows, let aside):
            "\(path): \(rows.count) records of the journal are not what was written ("
                + rows.prefix(10).map(String.init).joined(separator: ", ") + (rows.count > 10 ? ", …" : "")
                + "); they are left out.\(Self.told(aside)) Check the disk."
        case .tailLost(let path, let last, let expected, let aside):
            "\(path): the journal ends with record \(last), and had come to record \(expected): its end is lost, as when "
                + "its -wal file is removed. What the rest says is used.\(Self.told(aside))"
        case .foreign(let path, let aside):
            "\(path): another program or coordinator wrote this file.\(Self.told(aside)) A new journal was "
                + "begun. To use the other file, give it a state directory of its own."
        case .witnessLost(let path):
            "\(path): the file with the journal's last record number is damaged or missing, and was written anew. A "
                + "loss of the journal's end cannot be seen this time."
        case .jobLost(let job, let spec, let output):
            "\(job) (\(spec)\(output.map { ", output \($0)" } ?? "")) was accepted, and is lost with the journal's "
                + "records. Submit it again."
        }
    }

    private static func told(_ aside: String?) -> String {
        aside.map { " The file was kept as \($0)." } ?? ""
    }
}

/// A job that ran, and whose records the journal has lost.
public struct LostJob: Equatable, Sendable {
    /// The job's name.
    public let id: String
    /// The output directory; `nil` if an earlier version ran the job.
    public let output: String?
}
