import Foundation
import GRDB
import Glibc
import Identifiers

/// What a journal's file proves before anything is written to it.
struct JournalInspection {
    /// A row as stored.
    struct StoredRow {
        var id: Int64
        var job: String
        var kind: String
        var body: Data
        var check: Data?
    }

    /// The fault of the file as a whole; `nil` when SQLite finds none.
    private(set) var damage: String?
    /// Whether the file has content that is not a journal.
    private(set) var isForeign = false
    /// Whether the file is a journal with rows of this or the first version.
    private(set) var exists = false
    /// The journal's generation; `nil` in the first version.
    private(set) var generation: String?
    private(set) var lastRow: Int64 = 0
    /// Rows that differ from what was written.
    private(set) var damagedRows: [Int64] = []
    /// The intact rows.
    private(set) var rows: [StoredRow] = []

    /// How long a damaged file is searched row by row.
    private static let searchLimit = Duration.seconds(20)

    /// Looks at a journal without changing it.
    ///
    /// - Throws: ``JobJournalError/format(path:_:)`` for a journal of a later version,
    ///   ``JobJournalError/cannotOpen(path:cause:)`` when the system denies reading.
    init(path: String, expectedLastRow: Int64) throws(JobJournalError) {
        guard let size = Self.byteCount(path), size > 0 else {
            return
        }
        var configuration = Configuration()
        configuration.readonly = true
        do {
            let database = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? database.close() }
            try database.unsafeRead { try look(at: $0, path, expectedLastRow) }
        } catch let error as JobJournalError {
            throw error
        } catch let error as DatabaseError where Self.isDamage(error) {
            damage = damage ?? error.message ?? DatabaseWords.text(of: error)
        } catch {
            throw .cannotOpen(path: path, cause: DatabaseWords.text(of: error))
        }
    }

    /// Notes that the file as a whole is damaged.
    mutating func note(_ damage: String) { self.damage = damage }

    private static func byteCount(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    static func isDamage(_ error: DatabaseError) -> Bool {
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT: true
        case .SQLITE_IOERR: error.extendedResultCode == .SQLITE_IOERR_SHORT_READ
        default: false
        }
    }

    private mutating func look(at database: Database, _ path: String, _ expectedLastRow: Int64) throws {
        let found = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "ok"
        if found != "ok" { damage = found }
        let tables = try String.fetchSet(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
        guard tables.contains("record") else {
            isForeign = !tables.isEmpty && damage == nil
            return
        }
        exists = true
        if tables.contains("state") { try readState(database, path) }
        let sequence = try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'record'")
        lastRow = sequence ?? 0
        let hasChecks = try database.columns(in: "record").contains { $0.name == "check" }
        let columns = "id, job, kind, body, " + (hasChecks ? "\"check\"" : "NULL")
        do {
            let cursor = try Row.fetchCursor(database, sql: "SELECT \(columns) FROM record ORDER BY id")
            while let row = try cursor.next() { take(row) }
        } catch let error as DatabaseError where Self.isDamage(error) {
            damage = damage ?? error.message ?? DatabaseWords.text(of: error)
            search(database, columns, upTo: max(lastRow, expectedLastRow))
        }
    }

    private mutating func readState(_ database: Database, _ path: String) throws {
        func value(_ name: String) throws -> String? {
            try String.fetchOne(database, sql: "SELECT value FROM state WHERE name = ?", arguments: [name])
        }
        if let problem = FormatVersion.journal.problem(with: try value("format"), oldest: 1) {
            throw JobJournalError.format(path: path, problem)
        }
        generation = try value("generation")
    }

    /// Reads row by row after the damaged place.
    private mutating func search(_ database: Database, _ columns: String, upTo last: Int64) {
        let end = ContinuousClock.now + Self.searchLimit
        var id = (rows.last?.id ?? 0) + 1
        while id <= last, ContinuousClock.now < end {
            let sql = "SELECT \(columns) FROM record WHERE id = ?"
            if let row = try? Row.fetchOne(database, sql: sql, arguments: [id]) { take(row) }
            id += 1
        }
    }

    private mutating func take(_ row: Row) {
        guard let id = Int64.fromDatabaseValue(row[0]), let job = String.fromDatabaseValue(row[1]),
            let kind = String.fromDatabaseValue(row[2]), let body = Data.fromDatabaseValue(row[3])
        else {
            damagedRows.append(Int64.fromDatabaseValue(row[0]) ?? 0)
            return
        }
        let check = Data.fromDatabaseValue(row[4])
        // The first version wrote no checks. An unreadable row there is damaged, or of a later version.
        if let check, check != JournalCheck.of(job: job, kind: kind, body: body) {
            damagedRows.append(id)
            return
        }
        rows.append(StoredRow(id: id, job: job, kind: kind, body: body, check: check))
    }
}
