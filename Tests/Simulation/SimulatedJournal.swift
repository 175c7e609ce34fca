import Foundation
import JobJournal
import Scheduling

/// The disk on which facts become durable.
protocol SimulatedJournal {
    /// Facts of the last commit that wait for ``write()``; nothing else happens in between.
    var unwritten: [JournalRecord] { get }
    /// Facts that are durable from now on.
    mutating func append(_ records: [JournalRecord]) throws
    /// Carries a commit out.
    mutating func write() async throws
    /// Reads everything again, as a coordinator that starts.
    mutating func reopen() async throws -> [JournalRecord]
}

/// The rows of the journal without a database around them: every fact is encoded, and decoded when it is taken up.
struct RowJournal: SimulatedJournal {
    private(set) var rows: [JournalRow] = []
    let unwritten: [JournalRecord] = []

    mutating func append(_ records: [JournalRecord]) throws {
        for record in records { rows.append(try JournalRow(record)) }
    }
    mutating func write() {}
    mutating func reopen() throws -> [JournalRecord] {
        try rows.map { try JournalRow.record(kind: $0.kind.rawValue, body: $0.body) }
    }
}

/// The real journal in a file, closed and opened again whenever the coordinator starts.
struct FileJournal: SimulatedJournal {
    let path: String
    private var journal: JobJournal
    private(set) var unwritten: [JournalRecord] = []

    /// Makes a journal.
    ///
    /// - Parameter path: A file that does not exist yet.
    /// - Throws: `JobJournalError`.
    init(path: String) throws {
        self.path = path
        journal = try JobJournal(path: path)
    }

    mutating func append(_ records: [JournalRecord]) { unwritten += records }

    mutating func write() async throws {
        try await journal.append(unwritten)
        unwritten = []
    }

    mutating func reopen() async throws -> [JournalRecord] {
        try await journal.close()
        journal = try JobJournal(path: path)
        return try await journal.records().map(\.record)
    }
}
