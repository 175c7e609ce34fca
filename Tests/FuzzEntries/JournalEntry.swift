import Foundation
import Identifiers
import JobJournal
import Scheduling

/// Reads bytes as a row of the journal, with its kind in the first line, and replays it after a small journal's jobs.
func takeRow(_ bytes: [UInt8]) throws(BrokenPromise) {
    let parts = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
    let kind = String(decoding: parts[0], as: UTF8.self)
    let body = Data(parts.count == 2 ? parts[1] : [])
    guard let record = try accepted({ try JournalRow.record(kind: kind, body: body) }) else { return }
    // Compared as text, because NaN differs from itself.
    guard let row = try accepted({ try JournalRow(record) }),
        let read = try accepted({ try JournalRow.record(kind: row.kind.rawValue, body: row.body) }),
        let again = try accepted({ try JournalRow(read) }), again.body == row.body
    else { throw BrokenPromise("a record that was accepted changes when it is written") }
    var scheduler = Scheduler()
    scheduler.apply(.jobAccepted(ExampleFiles.header), plan: ExampleFiles.plan)
    // A record of acceptance has its plan from its own text, which the job entry tests.
    scheduler.apply(record)
    for event in [SchedulerEvent.restarted(stored: []), .workerJoined("w", ExampleFiles.worker), .deadlineReached] {
        _ = scheduler.handle(event, at: ExampleFiles.now)
    }
}
