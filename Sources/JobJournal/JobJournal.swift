import GRDB
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
        return migrator
    }

    /// Makes facts durable, all or none, in one transaction.
    ///
    /// - Throws: ``JobJournalError/diskFull(path:)`` or ``JobJournalError/cannotAppend(path:cause:)``; nothing was
    ///   recorded.
    public func append(_ records: [JournalRecord]) throws(JobJournalError) {
        guard !records.isEmpty else { return }
        do {
            let rows = try records.map { try JournalRow($0) }
            try database.write { database in
                for row in rows {
                    try database.execute(
                        sql: "INSERT INTO record (job, kind, body) VALUES (?, ?, ?)",
                        arguments: [row.job, row.kind.rawValue, row.body])
                }
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            throw .diskFull(path: path)
        } catch {
            throw .cannotAppend(path: path, cause: "\(error)")
        }
    }

    /// All facts, in the order in which they were recorded.
    ///
    /// - Throws: ``JobJournalError/unreadable(path:row:cause:)``.
    public func records() throws(JobJournalError) -> [JournalRecord] {
        let stored: [Row]
        do {
            stored = try database.read { try Row.fetchAll($0, sql: "SELECT id, kind, body FROM record ORDER BY id") }
        } catch {
            throw .cannotOpen(path: path, cause: "\(error)")
        }
        var records: [JournalRecord] = []
        for row in stored {
            do {
                records.append(try JournalRow.record(kind: row["kind"], body: row["body"]))
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
