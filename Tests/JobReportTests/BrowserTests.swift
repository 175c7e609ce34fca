import Foundation
import TestSupport
import Testing

@testable import JobReport

/// The page in a real browser: its layout at two widths and in both schemes, its contrast, its keyboard, its print.
///
/// `look_at_page.py` says what it examines. With `KFACD_SCREENSHOTS`, the name of a directory, it keeps pictures.
@Suite(.enabled(if: Browser.isThere || Browser.isDemanded, Browser.reason))
struct BrowserTests {
    @Test func `nothing is cut off, out of reach, pale or missing on paper`() throws {
        try #require(Browser.isThere, Browser.reason)
        let directory = try TemporaryDirectory()
        let samples: [(String, SampleReport)] = [
            ("small", .small), ("long", .long), ("plain", .plain), ("curvature", .curvature),
        ]
        for (name, report) in samples {
            _ = try directory.write(Array(JobReportPage(report: report.value).html.utf8), to: "\(name).html")
        }
        let script = try String(contentsOfFile: Browser.script, encoding: .utf8)
        let found = try Python.run(
            script, [Browser.program] + samples.map { directory.appending("\($0.0).html") })
        #expect(found.status == 0 && found.output.hasSuffix("\(samples.count) pages\n"), "\(found.output)")
    }
}

/// Chromium, and what drives it.
private enum Browser {
    static let program = "/usr/bin/chromium"

    static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("look_at_page.py").path

    static let isThere =
        [program, "/usr/bin/pdftotext"].allSatisfy(FileManager.default.isExecutableFile(atPath:))
        && (try? Python.run("import playwright.sync_api"))?.status == 0

    /// In continuous integration a missing browser is a failure.
    static let isDemanded = ProcessInfo.processInfo.environment["CI"] == "true"

    static let reason: Comment = """
        needs chromium and pdftotext (Debian: chromium, poppler-utils) and Python with playwright; KFACD_PYTHON names \
        the interpreter
        """
}
