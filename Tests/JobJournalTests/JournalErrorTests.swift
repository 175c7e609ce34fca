import Foundation
import JobJournal
import TestSupport
import Testing

/// The message when the journal cannot be opened.
struct JournalErrorTests {
    @Test(arguments: ["a directory", "no room for a file beside it"])
    func `an error of the database is told in words, without codes and statements`(kind: String) throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("journal.sqlite")
        let inTheWay = kind == "a directory" ? path : directory.appending("journal.sqlite-wal")
        try FileManager.default.createDirectory(atPath: inTheWay, withIntermediateDirectories: false)
        let error = try #require(throws: JobJournalError.self) { try JobJournal(path: path) }
        #expect(error.description.hasPrefix("\(path): the journal cannot be opened: "))
        #expect(error.description.contains("Check the state directory"))
        for word in ["SQLite", "SQLITE", "executing", "error 1"] { #expect(!error.description.contains(word)) }
    }
}
