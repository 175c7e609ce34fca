import Foundation
import GRDB
import Identifiers
import JobJournal
import JobPlan
import Scheduling
import TestSupport
import Testing
import UnitOperations

/// How a journal handles a damaged file, and what it reports.
struct DamagedJournalTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.appending("journal.sqlite") }
    private var witness: String { directory.appending("journal.witness") }

    init() throws { directory = try TemporaryDirectory() }

    private func accepted(_ job: JobID) throws -> JournalRecord {
        let fingerprint = try #require(BlobDigest(bytes: [UInt8](repeating: 7, count: 32)))
        return .jobAccepted(
            JobHeader(
                id: job, fingerprint: fingerprint, specText: "", specPath: "/jobs/\(job).yaml", overwrites: false,
                output: "/out/\(job)", submittedAt: 0))
    }

    private func finished(_ job: JobID, _ unit: Int) -> JournalRecord {
        .unitFinished(
            UnitReference(job: job, unit: UnitIndex(unit)), .worker("w1"), UnitResult(),
            UnitTiming(elapsedSeconds: 1, kernelSeconds: 1), nil)
    }

    /// A journal as a killed coordinator leaves it: a copy of the files of an open journal.
    ///
    /// - Returns: The records.
    private func leaveBehind(units: Int = 20, isCheckpointed: Bool = false) async throws -> [JournalRecord] {
        let source = try TemporaryDirectory()
        let journal = try JobJournal(path: source.appending("journal.sqlite"))
        let records =
            try [accepted("job-1"), accepted("job-2")] + (0..<units).map { finished("job-1", $0) }
            + [.jobEnded("job-1", .succeeded, finishedUnits: units)]
        try await journal.append(records)
        if isCheckpointed { try await journal.close() }
        for name in try FileManager.default.contentsOfDirectory(atPath: source.path) where !name.hasSuffix("-shm") {
            try FileManager.default.copyItem(atPath: source.appending(name), toPath: directory.appending(name))
        }
        if !isCheckpointed { try await journal.close() }
        return records
    }

    private func overwrite(_ path: String, with byte: UInt8 = 0, _ range: Range<Int>? = nil) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for position in range ?? bytes.indices { bytes[position] = byte }
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    private func reopened() async throws -> (records: [JournalRecord], findings: [JournalFinding]) {
        let journal = try JobJournal(path: path)
        let records = try await journal.records().map(\.record)
        let findings = journal.findings
        try await journal.close()
        // After the repair the journal is intact.
        let again = try JobJournal(path: path)
        #expect(again.findings == [])
        #expect(try await again.records().map(\.record) == records)
        try await again.close()
        return (records, findings)
    }

    @Test(arguments: [false, true])
    func `a journal that was left as it was has nothing to say`(isCheckpointed: Bool) async throws {
        let records = try await leaveBehind(isCheckpointed: isCheckpointed)
        let found = try await reopened()
        #expect(found.records == records)
        #expect(found.findings == [])
    }

    @Test(arguments: ["removed", "zeroed", "cut"])
    func `the loss of the last records is told, and which job is lost with them`(loss: String) async throws {
        _ = try await leaveBehind()
        switch loss {
        case "removed": try FileManager.default.removeItem(atPath: "\(path)-wal")
        case "zeroed": try overwrite("\(path)-wal")
        default: try Data().write(to: URL(fileURLWithPath: "\(path)-wal"))
        }
        let found = try await reopened()
        #expect(found.records == [])
        #expect(
            found.findings == [
                .tailLost(path: path, lastRow: 0, expected: 23, aside: "\(path).damaged-1"),
                .jobLost(job: "job-2", spec: "/jobs/job-2.yaml", output: "/out/job-2"),
            ])
        #expect(FileManager.default.fileExists(atPath: "\(path).damaged-1"))
    }

    @Test func `numbers of rows are not used again after a loss, and names of jobs are not either`() async throws {
        _ = try await leaveBehind()
        try FileManager.default.removeItem(atPath: "\(path)-wal")
        let journal = try JobJournal(path: path)
        #expect(await journal.lastJobNumber == 2)
        try await journal.append([finished("job-3", 0)])
        #expect(try await journal.records().map(\.row) == [24])
        try await journal.close()
    }

    @Test func `a file that is gone is told`() async throws {
        _ = try await leaveBehind(isCheckpointed: true)
        try FileManager.default.removeItem(atPath: path)
        let found = try await reopened()
        #expect(
            found.findings == [
                .tailLost(path: path, lastRow: 0, expected: 23, aside: nil),
                .jobLost(job: "job-2", spec: "/jobs/job-2.yaml", output: "/out/job-2"),
            ])
    }

    @Test func `an empty file is read from what is not yet in it`() async throws {
        let records = try await leaveBehind()
        try Data().write(to: URL(fileURLWithPath: path))
        let found = try await reopened()
        #expect(found.records == records)
        #expect(
            found.findings == [
                .damaged(
                    path: path, cause: "the file is empty, and was read from its -wal file",
                    aside: "\(path).damaged-1", rowsKept: records.count)
            ])
    }

    @Test func `what is no database is set aside`() async throws {
        _ = try await leaveBehind(isCheckpointed: true)
        try overwrite(path, with: 0x41, 0..<4096)
        let found = try await reopened()
        #expect(found.records == [])
        guard case .damaged(path, _, "\(path).damaged-1", 0)? = found.findings.first else {
            Issue.record("\(found.findings)")
            return
        }
        #expect(found.findings.last == .jobLost(job: "job-2", spec: "/jobs/job-2.yaml", output: "/out/job-2"))
    }

    @Test func `of a database that is damaged in part the rest is used`() async throws {
        let records = try await leaveBehind(units: 2000, isCheckpointed: true)
        let size = try Data(contentsOf: URL(fileURLWithPath: path)).count
        try overwrite(path, with: 0xFF, size / 2..<size / 2 + 8192)
        let found = try await reopened()
        guard case .damaged(path, _, "\(path).damaged-1", let kept)? = found.findings.first else {
            Issue.record("\(found.findings)")
            return
        }
        #expect(kept == found.records.count)
        #expect(kept > records.count / 2)
        #expect(kept < records.count)
        #expect(found.records.allSatisfy(records.contains))
    }

    @Test func `a database that was cut is used as far as it goes`() async throws {
        let records = try await leaveBehind(units: 2000, isCheckpointed: true)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: path))
        let found = try await reopened()
        #expect(!found.findings.isEmpty)
        #expect(found.records.allSatisfy(records.contains))
    }

    @Test func `a record whose bytes changed is left out and named by its number`() async throws {
        let records = try await leaveBehind(isCheckpointed: true)
        try await DatabaseQueue(path: path).write { database in
            try database.execute(sql: "UPDATE record SET body = replace(body, '\"seconds\":1', '\"seconds\":2')")
            try database.execute(sql: "UPDATE record SET body = CAST(replace(body, 'w1', 'w2') AS BLOB) WHERE id = 5")
        }
        let found = try await reopened()
        #expect(found.findings == [.rowsDamaged(path: path, rows: [5], aside: "\(path).damaged-1")])
        #expect(found.records == records.enumerated().filter { $0.offset != 4 }.map(\.element))
    }

    @Test func `another coordinator's journal is not used`() async throws {
        _ = try await leaveBehind(isCheckpointed: true)
        let other = try TemporaryDirectory()
        let foreign = try JobJournal(path: other.appending("journal.sqlite"))
        try await foreign.append([try accepted("job-9")])
        try await foreign.close()
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: other.appending("journal.sqlite"), toPath: path)
        let found = try await reopened()
        #expect(found.records == [])
        #expect(
            found.findings == [
                .foreign(path: path, aside: "\(path).damaged-1"),
                .jobLost(job: "job-2", spec: "/jobs/job-2.yaml", output: "/out/job-2"),
            ])
    }

    @Test func `another program's database is not used`() async throws {
        try await DatabaseQueue(path: path).write { try $0.execute(sql: "CREATE TABLE album (title TEXT)") }
        let found = try await reopened()
        #expect(found.findings == [.foreign(path: path, aside: "\(path).damaged-1")])
    }

    @Test(arguments: ["damaged", "removed"])
    func `a witness that is lost is told and made anew`(loss: String) async throws {
        let records = try await leaveBehind()
        if loss == "removed" {
            try FileManager.default.removeItem(atPath: witness)
        } else {
            try overwrite(witness, with: 0x30, 20..<21)
        }
        let found = try await reopened()
        #expect(found.records == records)
        #expect(found.findings == [.witnessLost(path: witness)])
    }

    // MARK: - Versions

    @Test func `a journal of a later version is refused with both versions`() async throws {
        _ = try await leaveBehind(isCheckpointed: true)
        try await DatabaseQueue(path: path).write {
            try $0.execute(sql: "UPDATE state SET value = 'kfacd.journal/3' WHERE name = 'format'")
        }
        let problem = FormatProblem.newer(FormatVersion("kfacd.journal", 3), expected: .journal)
        #expect(throws: JobJournalError.format(path: path, problem)) { try JobJournal(path: path) }
        #expect(
            JobJournalError.format(path: path, problem).description
                == "\(path): the journal is of the format \"kfacd.journal/3\", which a later version of kfacd wrote; this "
                + "one reads \"kfacd.journal/2\". Use the version that wrote it, or a later one.")
    }

    @Test(arguments: ["", "kfacd.journal", "kfacd.journal/x", "other/1"])
    func `a journal whose version is malformed is refused`(stated: String) async throws {
        _ = try await leaveBehind(isCheckpointed: true)
        try await DatabaseQueue(path: path).write {
            try $0.execute(sql: "UPDATE state SET value = ? WHERE name = 'format'", arguments: [stated])
        }
        #expect(throws: JobJournalError.self) { try JobJournal(path: path) }
    }

    /// The first version had neither checks nor a generation, and no witness.
    @Test func `a journal of the first version is taken over`() async throws {
        let records = try await leaveBehind(isCheckpointed: true)
        try FileManager.default.removeItem(atPath: witness)
        try await DatabaseQueue(path: path).write { database in
            try database.execute(sql: "DROP TABLE state")
            try database.execute(sql: "ALTER TABLE record DROP COLUMN \"check\"")
            try database.execute(sql: "DELETE FROM grdb_migrations WHERE identifier LIKE '3%'")
        }
        let found = try await reopened()
        #expect(found.records == records)
        #expect(found.findings == [])
    }
}
