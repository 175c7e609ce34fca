import Logging
import Testing

@testable import Telemetry

struct LogBookTests {
    private let book = LogBook()

    private func note(_ text: String, _ level: Logger.Level = .info, job: String? = "job-1") {
        book.note(level, at: "now", text, job: job)
    }

    @Test func `a job's lines are kept in their order, and only those behind a number are asked for`() {
        note("accepted")
        note("of another", job: "job-2")
        note("of none", job: nil)
        note("ended")
        #expect(book.lines(of: "job-1").map(\.text) == ["accepted", "ended"])
        let first = book.lines(of: "job-1")[0].number
        #expect(book.lines(of: "job-1", after: first).map(\.text) == ["ended"])
        #expect(book.lines(of: "job-3").isEmpty)
    }

    @Test func `warnings are kept of jobs and of everything else`() {
        note("fine")
        note("strange", .warning)
        note("bad", .error, job: nil)
        #expect(book.warnings.map(\.text) == ["strange", "bad"])
    }

    @Test func `of many lines, jobs and warnings the latest are kept, and a long line's beginning`() {
        for number in 0..<2 * LogBook.linesOfJobMax { note("\(number)", .warning) }
        let lines = book.lines(of: "job-1")
        #expect(lines.last?.text == "\(2 * LogBook.linesOfJobMax - 1)")
        #expect((LogBook.linesOfJobMax...LogBook.linesOfJobMax * 11 / 10).contains(lines.count))
        #expect((LogBook.warningsMax...LogBook.warningsMax * 11 / 10).contains(book.warnings.count))
        for number in 0..<LogBook.jobsMax { note("late", job: "late-\(number)") }
        #expect(book.lines(of: "job-1").isEmpty)
        #expect(book.lines(of: "late-0").count == 1)
        note(String(repeating: "é", count: LogBook.lineBytesMax), job: "long")
        #expect(book.lines(of: "long")[0].text.utf8.count <= LogBook.lineBytesMax + 3)
    }

    @Test func `a logger keeps what is about a job from info on, whatever it writes`() {
        let threshold = LogThreshold(.critical)
        let logger = LogSetup.logger("test", threshold: threshold, book: book)
        logger.debug("too fine", metadata: [LogKeys.job: "job-1"])
        logger.info("a line", metadata: [LogKeys.job: "job-1", "units": "3"])
        logger.notice("nobody's")
        let line = book.lines(of: "job-1")
        #expect(line.map(\.text) == ["a line job=job-1 units=3"])
        #expect(line.first?.time.hasSuffix("Z") == true)
    }
}
