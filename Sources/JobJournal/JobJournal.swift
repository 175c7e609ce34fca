import FileAccess
import Foundation
import GRDB
import Glibc
import Identifiers
import Lanes
public import Scheduling
import SystemPackage

/// The durable record of facts: they are appended, never changed, and replayed after a restart.
///
/// SQLite in WAL mode with `synchronous = FULL`: when ``append(_:)`` returns, the facts survive the loss of power.
///
/// The journal does not trust the disk. Every record has a digest beside it. A witness file beside the journal says how
/// far the journal had come (``JournalWitness``). A damaged, cut or foreign journal is set aside when it is opened. A
/// new journal begins with what the old one still proves, and ``findings`` lists the faults.
/// Source: DESIGN section 6, guarantee 2.
public actor JobJournal {
    private let lane = Lane("kfacd.journal")
    private let path: String
    private let isDurable: Bool
    private let database: DatabaseQueue
    /// The faults that were found at the opening; empty when the journal was as it had been left.
    public nonisolated let findings: [JournalFinding]
    private var witness: JournalWitness
    private var witnessedAt = ContinuousClock.now
    /// How often the witness is written while no job begins or ends.
    private static let witnessInterval = Duration.seconds(1)

    /// A thread of its own, because a commit waits for the disk.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Opens a journal; makes it when it does not exist, and repairs it when it is damaged (``findings``).
    ///
    /// - Parameters:
    ///   - path: The database file.
    ///   - isDurable: Whether facts survive a loss of power. A journal that nobody opens again needs no such promise,
    ///     and its commits do not wait for the disk.
    /// - Throws: ``JobJournalError/cannotOpen(path:cause:)``, or ``JobJournalError/format(path:_:)`` for a journal of
    ///   another version.
    public init(path: String, isDurable: Bool = true) throws(JobJournalError) {
        self.path = path
        self.isDurable = isDurable
        let repair = try JournalRepair(path: path)
        findings = repair.findings
        do {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.prepareDatabase {
                try $0.execute(sql: "PRAGMA synchronous = \(isDurable ? "FULL" : "OFF")")
            }
            database = try DatabaseQueue(path: path, configuration: configuration)
            try Self.migrations.migrate(database)
            witness = try database.write { try Self.begin($0, after: repair) }
        } catch {
            throw .cannotOpen(path: path, cause: DatabaseWords.text(of: error))
        }
        _ = witness.write(besides: path, isDurable: isDurable)
    }

    /// Begins with the rows that a repair has kept, and states version and generation.
    private static func begin(_ database: Database, after repair: JournalRepair) throws -> JournalWitness {
        for row in repair.rows ?? [] {
            try database.execute(
                sql: "INSERT INTO record (id, job, kind, body, \"check\") VALUES (?, ?, ?, ?, ?)",
                arguments: [row.id, row.job, row.kind, row.body, row.check])
        }
        if repair.rows != nil {
            try database.execute(sql: "DELETE FROM sqlite_sequence WHERE name = 'record'")
            try database.execute(
                sql: "INSERT INTO sqlite_sequence (name, seq) VALUES ('record', ?)", arguments: [repair.lastRow])
        }
        let generation = repair.generation ?? UUID().uuidString
        // Written only when it changes, so that an intact journal opens on a full disk too.
        let stated = [("format", "\(FormatVersion.journal)"), ("generation", generation)]
        for (name, value) in stated {
            let found = try String.fetchOne(database, sql: "SELECT value FROM state WHERE name = ?", arguments: [name])
            guard found != value else { continue }
            try database.execute(
                sql: "INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", arguments: [name, value])
        }
        let bodies = try Data.fetchAll(
            database,
            sql: """
                SELECT body FROM record WHERE kind = 'job_accepted'
                AND job NOT IN (SELECT job FROM record WHERE kind = 'job_ended') ORDER BY id
                """)
        let jobs = bodies.compactMap { body -> JournalWitness.Job? in
            guard case .jobAccepted(let header)? = try? JournalRow.record(kind: "job_accepted", body: body) else {
                return nil
            }
            return JournalWitness.Job(header)
        }
        return JournalWitness(
            generation: generation, lastRow: try lastRow(database), jobs: Array(jobs.prefix(JournalWitness.jobsMax)))
    }

    private static func lastRow(_ database: Database) throws -> Int64 {
        try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'record'") ?? 0
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
        migrator.registerMigration("3: checks") { database in
            try database.alter(table: "record") { $0.add(column: "check", .blob) }
            try database.create(table: "state") { table in
                table.primaryKey("name", .text)
                table.column("value", .text).notNull()
            }
        }
        return migrator
    }

    /// Makes facts durable in one transaction: all of them or none.
    ///
    /// - Throws: ``JobJournalError/diskFull(path:)`` or ``JobJournalError/cannotAppend(path:cause:)``; nothing was
    ///   recorded.
    public func append(_ records: [JournalRecord]) throws(JobJournalError) {
        guard !records.isEmpty else { return }
        var last: Int64 = 0
        try write { database in
            let statement = try database.cachedStatement(
                sql: "INSERT INTO record (job, kind, body, \"check\") VALUES (?, ?, ?, ?)")
            for row in try records.map({ try JournalRow($0) }) {
                let check = JournalCheck.of(job: row.job, kind: row.kind.rawValue, body: row.body)
                try statement.execute(arguments: [row.job, row.kind.rawValue, row.body, check])
            }
            last = database.lastInsertedRowID
        }
        testify(to: records, upTo: last)
    }

    /// Updates the witness for records that are durable.
    private func testify(to records: [JournalRecord], upTo last: Int64) {
        witness.lastRow = last
        var isUrgent = false
        for record in records {
            switch record {
            case .jobAccepted(let header):
                isUrgent = true
                if witness.jobs.count < JournalWitness.jobsMax { witness.jobs.append(.init(header)) }
            case .jobEnded(let job, _, _):
                isUrgent = true
                witness.jobs.removeAll { $0.id == job.rawValue }
            case .unitFinished, .unitFailed: break
            }
        }
        guard isUrgent || ContinuousClock.now - witnessedAt >= Self.witnessInterval else { return }
        // A witness that cannot be written lags behind. It then proves less of a loss, and the next commit tries again.
        if witness.write(besides: path, isDurable: isDurable) { witnessedAt = ContinuousClock.now }
    }

    /// Changes the database in one transaction.
    private func write(_ change: (Database) throws -> Void) throws(JobJournalError) {
        do {
            try database.write(change)
        } catch let error as DatabaseError where isForLackOfRoom(error) {
            throw .diskFull(path: path)
        } catch {
            throw .cannotAppend(path: path, cause: DatabaseWords.text(of: error))
        }
    }

    /// Whether a commit failed because the disk or the quota is full.
    ///
    /// SQLite reports a full disk only for a write. For an exhausted quota, or a later fsync, it reports an I/O error.
    /// Then a file of our own tests whether there is room.
    private func isForLackOfRoom(_ error: DatabaseError) -> Bool {
        switch error.resultCode {
        case .SQLITE_FULL: return true
        case .SQLITE_IOERR: break
        default: return false
        }
        let probe = "\(path).probe"
        let descriptor = open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return Self.isLackOfRoom }
        defer {
            Glibc.close(descriptor)
            unlink(probe)
        }
        let block = [UInt8](repeating: 0, count: 1 << 16)
        guard Glibc.write(descriptor, block, block.count) == block.count else { return Self.isLackOfRoom }
        do {
            try FileDescriptor(rawValue: descriptor).synchronize()
            return false
        } catch {
            return error.isLackOfRoom
        }
    }

    /// Whether the system call that just failed on this thread found the disk or the quota full.
    private static var isLackOfRoom: Bool { Errno(rawValue: errno).isLackOfRoom }

    /// Forgets units of jobs that have ended, and the oldest of these jobs.
    ///
    /// The latest units stay, because later jobs may use their results.
    ///
    /// - Parameters:
    ///   - units: The number of unit records to keep, not counting those of running jobs.
    ///   - jobs: The number of ended jobs to keep.
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

    /// Whether the journal is empty and never held a record.
    public var isNew: Bool { witness.lastRow == 0 && findings.isEmpty }

    /// The greatest number of any job of this journal, including jobs whose records are lost; jobs are named `job-N`.
    public var lastJobNumber: Int {
        let lost = findings.map { finding in
            if case .jobLost(let job, _, _) = finding { Int(job.drop { !$0.isNumber }) ?? 0 } else { 0 }
        }
        return lost.max() ?? 0
    }

    /// All facts in the order of recording, with their row numbers; the numbers rise and are never used again.
    ///
    /// - Throws: ``JobJournalError/unreadable(path:row:cause:)``.
    public func records() throws(JobJournalError) -> [(row: Int64, record: JournalRecord)] {
        do {
            return try database.read { database in
                // One row at a time, because the bodies take several times the memory of the facts.
                let rows = try Row.fetchCursor(database, sql: "SELECT id, kind, body FROM record ORDER BY id")
                var records: [(row: Int64, record: JournalRecord)] = []
                while let row = try rows.next() {
                    do {
                        records.append((row["id"], try JournalRow.record(kind: row["kind"], body: row["body"])))
                    } catch {
                        throw JobJournalError.unreadable(path: path, row: row["id"], cause: "\(error)")
                    }
                }
                return records
            }
        } catch let error as JobJournalError {
            throw error
        } catch {
            throw .cannotOpen(path: path, cause: DatabaseWords.text(of: error))
        }
    }

    /// Closes the database; later calls fail.
    ///
    /// - Throws: ``JobJournalError/cannotOpen(path:cause:)`` when SQLite refuses.
    public func close() throws(JobJournalError) {
        _ = witness.write(besides: path, isDurable: isDurable)
        do {
            try database.close()
        } catch {
            throw .cannotOpen(path: path, cause: DatabaseWords.text(of: error))
        }
    }
}
