import Foundation
import Glibc
import Logging
import Testing

@testable import Telemetry

@Suite struct JournalStreamTests {
    @Test func `only the descriptor with the named device and inode is the journal's`() throws {
        let pipe = Pipe()
        let other = Pipe()
        var status = stat()
        try #require(fstat(pipe.fileHandleForWriting.fileDescriptor, &status) == 0)
        let name = "\(status.st_dev):\(status.st_ino)"
        #expect(JournalStream.isStream(name, descriptor: pipe.fileHandleForWriting.fileDescriptor))
        #expect(!JournalStream.isStream(name, descriptor: other.fileHandleForWriting.fileDescriptor))
        #expect(!JournalStream.isStream(name, descriptor: -1))
    }

    @Test(arguments: ["", ":", "1", "1:", "a:b", "1:2:3", "-1:2"])
    func `what is no pair of numbers names nothing`(text: String) {
        #expect(!JournalStream.isStream(text, descriptor: STDERR_FILENO))
    }

    @Test func `every line of an error has its priority in the journal, and none elsewhere`() {
        #expect(JournalStream.withErrorPriority("Error: one\ntwo\n\nthree") == "<3>Error: one\n<3>two\n<3>\n<3>three")
        #expect(JournalStream.withErrorPriority("") == "<3>")
        if !JournalStream.isStandardError { #expect(JournalStream.errorText("a\nb") == "a\nb") }
    }

    @Test func `a level that changes is every logger's, but for one that has its own`() {
        let threshold = LogThreshold(.notice)
        let logger = LogSetup.logger("a", threshold: threshold)
        var own = logger
        own.logLevel = .error
        threshold.level = .debug
        #expect(logger.logLevel == .debug)
        #expect(own.logLevel == .error)
    }
}
