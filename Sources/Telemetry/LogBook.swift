public import Logging
import Synchronization

/// The latest lines of a daemon, kept in memory: of each job, and the warnings of all.
///
/// Who asks a daemon about a job sees them without reading the journal of its machine. They are gone with the process.
/// Bound: ``jobsMax`` jobs with ``linesOfJobMax`` lines each, and ``warningsMax`` warnings, of ``lineBytesMax`` each.
public final class LogBook: Sendable {
    /// A line that was logged.
    public struct Entry: Equatable, Sendable {
        /// Position among all lines of the process, from 1 on.
        public var number: UInt64
        /// When, in UTC: `2026-11-24T09:00:00.000Z`.
        public var time: String
        /// How grave it is.
        public var level: Logger.Level
        /// The message with its fields, on one line.
        public var text: String

        /// States a line.
        public init(number: UInt64, time: String, level: Logger.Level, text: String) {
            self.number = number
            self.time = time
            self.level = level
            self.text = text
        }
    }

    /// Most lines that are kept of a job; of more, the latest.
    public static let linesOfJobMax = 500
    /// Most jobs whose lines are kept; of more, those that were logged about last.
    public static let jobsMax = 64
    /// Most warnings that are kept.
    public static let warningsMax = 50
    /// Most bytes of a line.
    public static let lineBytesMax = 1024

    private struct Pages {
        var count: UInt64 = 0
        var jobs: [String: [Entry]] = [:]
        /// The jobs, the one that was logged about last at the end.
        var order: [String] = []
        var warnings: [Entry] = []
    }

    private let pages = Mutex(Pages())

    /// An empty book.
    public init() {}

    /// Keeps a line that is about a job, or a warning.
    ///
    /// - Parameters:
    ///   - level: How grave it is.
    ///   - time: When, as text.
    ///   - text: The message with its fields, on one line; what is longer than ``lineBytesMax`` is cut.
    ///   - job: The job that it is about.
    public func note(_ level: Logger.Level, at time: String, _ text: String, job: String?) {
        guard job != nil || level >= .warning else { return }
        let isWhole = text.utf8.count <= Self.lineBytesMax
        let kept = isWhole ? text : String(decoding: text.utf8.prefix(Self.lineBytesMax), as: UTF8.self) + "…"
        pages.withLock { pages in
            pages.count += 1
            let entry = Entry(number: pages.count, time: time, level: level, text: kept)
            if level >= .warning { Self.append(entry, to: &pages.warnings, most: Self.warningsMax) }
            guard let job else { return }
            if pages.order.last != job {
                pages.order.removeAll { $0 == job }
                pages.order.append(job)
            }
            Self.append(entry, to: &pages.jobs[job, default: []], most: Self.linesOfJobMax)
            if pages.order.count > Self.jobsMax { pages.jobs[pages.order.removeFirst()] = nil }
        }
    }

    /// The latest lines about a job, the earliest first.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - number: Only lines behind this one.
    /// - Returns: The lines; none of a job that nothing is known of.
    public func lines(of job: String, after number: UInt64 = 0) -> [Entry] {
        pages.withLock { $0.jobs[job, default: []].filter { $0.number > number } }
    }

    /// The latest warnings and errors, the earliest first.
    public var warnings: [Entry] { pages.withLock { $0.warnings } }

    /// A tenth more than is kept may stand for a while, so that not every line moves all others.
    private static func append(_ entry: Entry, to entries: inout [Entry], most: Int) {
        entries.append(entry)
        if entries.count > most + most / 10 { entries.removeFirst(entries.count - most) }
    }
}
