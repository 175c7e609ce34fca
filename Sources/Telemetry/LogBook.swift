public import Logging
import Synchronization

/// The latest log lines of a daemon, kept in memory: those of each job, and all warnings.
///
/// A client that asks about a job sees them without reading the journal of the daemon's machine. They are lost when the
/// process ends. Bound: ``jobsMax`` jobs with ``linesOfJobMax`` lines each, and ``warningsMax`` warnings, of
/// ``lineBytesMax`` bytes each.
public final class LogBook: Sendable {
    /// A logged line.
    public struct Entry: Equatable, Sendable {
        /// Its position among all lines of the process, from 1.
        public var number: UInt64
        /// Its time in UTC: `2026-11-24T09:00:00.000Z`.
        public var time: String
        /// Its level.
        public var level: Logger.Level
        /// The message with its fields, on one line.
        public var text: String

        /// Makes an entry.
        public init(number: UInt64, time: String, level: Logger.Level, text: String) {
            self.number = number
            self.time = time
            self.level = level
            self.text = text
        }
    }

    /// The most lines that are kept of a job; the latest are kept.
    public static let linesOfJobMax = 500
    /// The most jobs whose lines are kept; those with the latest lines are kept.
    public static let jobsMax = 64
    /// The most warnings that are kept.
    public static let warningsMax = 50
    /// The most bytes of a line.
    public static let lineBytesMax = 1024

    private struct Pages {
        var count: UInt64 = 0
        var jobs: [String: [Entry]] = [:]
        /// The jobs, ordered by their latest line.
        var order: [String] = []
        var warnings: [Entry] = []
    }

    private let pages = Mutex(Pages())

    /// An empty book.
    public init() {}

    /// Keeps a line that concerns a job, or a warning.
    ///
    /// - Parameters:
    ///   - level: Its level.
    ///   - time: Its time, as text.
    ///   - text: The message with its fields, on one line; text beyond ``lineBytesMax`` is cut.
    ///   - job: The job that it concerns.
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
    ///   - number: Returns only lines after this one.
    /// - Returns: The lines; none for an unknown job.
    public func lines(of job: String, after number: UInt64 = 0) -> [Entry] {
        pages.withLock { $0.jobs[job, default: []].filter { $0.number > number } }
    }

    /// The latest warnings and errors, the earliest first.
    public var warnings: [Entry] { pages.withLock { $0.warnings } }

    /// Keeps up to a tenth more than the limit, so that not every new line moves all others.
    private static func append(_ entry: Entry, to entries: inout [Entry], most: Int) {
        entries.append(entry)
        if entries.count > most + most / 10 { entries.removeFirst(entries.count - most) }
    }
}
