import GRDB
import Glibc
import JournalCoding
import Lanes
public import Scheduling

/// The durable record of what has happened: facts are appended, never changed, and replayed after a restart.
///
/// SQLite in WAL mode with `synchronous = FULL`: when ``append(_:)`` returns, the facts survive the loss of power.
/// Source: DESIGN section 6, guarantee 2.
public actor JobJournal {
    private let lane = Lane("kfacd.journal")
    private let path: String
    private let database: DatabaseQueue

    /// Runs on a thread of its own, since a commit waits for the disk.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Opens a journal, making it when it does not exist.
    ///
    /// - Parameter path: The database file.
    /// - Throws: ``JobJournalError/cannotOpen(path:cause:)``.
    public init(path: String) throws(JobJournalError) {
        self.path = path
        do {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            database = try DatabaseQueue(path: path, configuration: configuration)
            try Self.migrations.migrate(database)
        } catch {
            throw .cannotOpen(path: path, cause: "\(error)")
        }
    }

    private static var migrations: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: records") { database in
            try database.create(table: "record") { table in
                table.autoIncrementedPrimaryKey("id")
                table.column("job", .text).notNull().indexed()
                table.column("kind", .text).notNull()
                table.column("body", .blob).notNull()
            }
        }
        migrator.registerMigration("2: ended jobs") { database in
            try database.execute(sql: "CREATE INDEX record_ended ON record (id) WHERE kind = 'job_ended'")
            try database.execute(sql: "CREATE INDEX record_finished ON record (id) WHERE kind = 'unit_finished'")
        }
        return migrator
    }

    /// Makes facts durable, all or none, in one transaction.
    ///
    /// - Throws: ``JobJournalError/diskFull(path:)`` or ``JobJournalError/cannotAppend(path:cause:)``; nothing was
    ///   recorded.
    public func append(_ records: [JournalRecord]) throws(JobJournalError) {
        guard !records.isEmpty else { return }
        try write { database in
            for row in try records.map({ try JournalRow($0) }) {
                try database.execute(
                    sql: "INSERT INTO record (job, kind, body) VALUES (?, ?, ?)",
                    arguments: [row.job, row.kind.rawValue, row.body])
            }
        }
    }

    /// Changes the database in one transaction.
    private func write(_ change: (Database) throws -> Void) throws(JobJournalError) {
        do {
            try database.write(change)
        } catch let error as DatabaseError where isForLackOfRoom(error) {
            throw .diskFull(path: path)
        } catch {
            throw .cannotAppend(path: path, cause: "\(error)")
        }
    }

    /// Whether a commit failed because the disk or the quota is full.
    ///
    /// SQLite says so only of a write that finds the disk full, not of an exhausted quota nor of what a later fsync
    /// finds: then it is an I/O error, and whether there is room is tried with a file of our own.
    private func isForLackOfRoom(_ error: DatabaseError) -> Bool {
        switch error.resultCode {
        case .SQLITE_FULL: return true
        case .SQLITE_IOERR: break
        default: return false
        }
        let probe = "\(path).probe"
        let descriptor = open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return errno == ENOSPC || errno == EDQUOT }
        defer {
            Glibc.close(descriptor)
            unlink(probe)
        }
        let block = [UInt8](repeating: 0, count: 1 << 16)
        guard Glibc.write(descriptor, block, block.count) == block.count, fsync(descriptor) == 0 else {
            return errno == ENOSPC || errno == EDQUOT
        }
        return false
    }

    /// Forgets what nobody will ask for: units of jobs that have ended, but for the latest, whose results later jobs
    /// may use; and the oldest of these jobs themselves.
    ///
    /// - Parameters:
    ///   - units: Records of units that are kept, those of running jobs aside.
    ///   - jobs: Jobs that have ended and are kept.
    /// - Throws: ``JobJournalError/diskFull(path:)`` or ``JobJournalError/cannotAppend(path:cause:)``; nothing was
    ///   removed.
    public func trim(units: Int, jobs: Int) throws(JobJournalError) {
        let ended = "SELECT job FROM record WHERE kind = 'job_ended'"
        try write { database in
            try database.execute(
                sql: """
                    DELETE FROM record WHERE kind IN ('unit_finished', 'unit_failed') AND job IN (\(ended))
                    AND id <= (SELECT id FROM record WHERE kind = 'unit_finished' ORDER BY id DESC LIMIT 1 OFFSET ?)
                    """, arguments: [units])
            try database.execute(
                sql: """
                    DELETE FROM record WHERE kind IN ('job_accepted', 'job_ended', 'unit_failed')
                    AND job IN (\(ended) ORDER BY id DESC LIMIT -1 OFFSET ?)
                    """, arguments: [jobs])
        }
    }

    /// All facts, in the order in which they were recorded, with the numbers of their rows, which rise and are never
    /// used again.
    ///
    /// - Throws: ``JobJournalError/unreadable(path:row:cause:)``.
    public func records() throws(JobJournalError) -> [(row: Int64, record: JournalRecord)] {
        let stored: [Row]
        do {
            stored = try database.read { try Row.fetchAll($0, sql: "SELECT id, kind, body FROM record ORDER BY id") }
        } catch {
            throw .cannotOpen(path: path, cause: "\(error)")
        }
        var records: [(row: Int64, record: JournalRecord)] = []
        for row in stored {
            do {
                records.append((row["id"], try JournalRow.record(kind: row["kind"], body: row["body"])))
            } catch {
                throw .unreadable(path: path, row: row["id"], cause: "\(error)")
            }
        }
        return records
    }

    /// Closes the database; later calls fail.
    ///
    /// - Throws: ``JobJournalError/cannotOpen(path:cause:)`` when SQLite refuses.
    public func close() throws(JobJournalError) {
        do {
            try database.close()
        } catch {
            throw .cannotOpen(path: path, cause: "\(error)")
        }
    }
}
