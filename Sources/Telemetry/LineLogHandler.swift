import Identifiers
public import Logging
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Log lines on standard error: `level message key=value …`, one line each.
///
/// On the journal, a line begins with its priority, `<6>`, and has no time, because the journal adds it. Elsewhere a
/// line begins with the time in UTC. Source: sd-daemon(3).
public struct LineLogHandler: LogHandler {
    /// Fields of every line.
    public var metadata: Logger.Metadata = [:]
    /// The lowest level that is written or kept in the book.
    public var logLevel: Logger.Level {
        get { book == nil ? writtenLevel : min(writtenLevel, Self.keptLevel) }
        set { ownLevel = newValue }
    }

    private var writtenLevel: Logger.Level { ownLevel ?? threshold.level }
    /// The book keeps more than is written, because questions about a job need more lines than the journal should hold.
    private static let keptLevel = Logger.Level.info

    private let threshold: LogThreshold
    private let book: LogBook?
    private var ownLevel: Logger.Level?
    private let isUnderJournald: Bool
    /// Keeps the lines of different threads apart.
    private static let output = Mutex<Void>(())

    /// Writes lines at or above a level, which may change while the program runs.
    ///
    /// - Parameters:
    ///   - threshold: The level.
    ///   - book: Keeps lines in memory, from the level `info` on, whatever level is written.
    public init(threshold: LogThreshold, book: LogBook? = nil) {
        self.threshold = threshold
        self.book = book
        isUnderJournald = JournalStream.isStandardError
    }

    /// A field of every line.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one line.
    public func log(event: LogEvent) {
        // A peer's message must not break the line.
        var text = event.message.description.printable
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            text += " \(key)=\(Self.quoted("\(value)"))"
        }
        let time = Timestamp.now
        if event.level >= Self.keptLevel {
            book?.note(event.level, at: time, text, job: fields[LogKeys.job].map { "\($0)" })
        }
        guard event.level >= writtenLevel else { return }
        let line = (isUnderJournald ? "<\(event.level.journalPriority)>" : "\(time) \(event.level) ") + text + "\n"
        Self.output.withLock { _ in
            var bytes = Array(line.utf8)[...]
            while !bytes.isEmpty {
                let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
                guard written > 0 else { return }
                bytes = bytes.dropFirst(written)
            }
        }
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.printable
        guard escaped.isEmpty || escaped.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) else {
            return escaped
        }
        return "\"\(escaped.replacing("\"", with: "\\\""))\""
    }
}

extension Logger.Level {
    /// syslog(3)'s priority.
    fileprivate var journalPriority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
