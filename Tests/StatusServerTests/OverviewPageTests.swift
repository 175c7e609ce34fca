import Supervision
import Testing

@testable import StatusServer

/// The page for people, as text.
@Suite struct OverviewPageTests {
    private func page(
        status: String = "no job", notReady: String? = nil, problems: [String] = [], tables: [StatusTable] = []
    ) -> String {
        OverviewPage(
            status: status, notReady: notReady, healthProblems: problems,
            version: [("version", "1.2.3"), ("role", "worker")], tables: tables
        ).html
    }

    @Test func `the page is one document that fetches nothing, runs nothing, and comes again by itself`() {
        let html = page()
        #expect(html.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">\n"))
        #expect(html.hasSuffix("</html>\n"))
        #expect(html.contains("<meta http-equiv=\"refresh\" content=\"5\">"))
        #expect(html.contains("<title>kfacd worker</title>"))
        for fetching in ["<script", "<link", "<img", "src=", "url(", "@import", "://"] {
            #expect(!html.contains(fetching), "\(fetching)")
        }
    }

    @Test func `status, readiness, health and version are told`() {
        let well = page(status: "2 units under way")
        #expect(well.contains("<p class=\"status\">2 units under way</p>\n<p>Ready: yes</p>\n<p>Healthy: yes</p>"))
        #expect(well.contains("<tr><td>version</td><td>1.2.3</td></tr>"))
        let unwell = page(notReady: "greeting the coordinator", problems: ["lane 1 stands still", "a loop too"])
        #expect(
            unwell.contains(
                "<p class=\"bad\">Not ready: greeting the coordinator</p>\n"
                    + "<p class=\"bad\">Not healthy: lane 1 stands still</p>\n"
                    + "<p class=\"bad\">Not healthy: a loop too</p>"))
    }

    @Test func `a table has its columns, a row for each item, and the number of those that are not shown`() {
        let table = StatusTable("Jobs", columns: ["job", "units", "progress"], of: ["a", "b", "c"], limit: 2) {
            [.text($0), .number("3/7"), .share(0.4299)]
        }
        let rest =
            "<td class=\"number\">3/7</td>"
            + "<td class=\"number\"><progress max=\"100\" value=\"42\"></progress> 42 %</td>"
        let expected = """
            <h2>Jobs</h2>
            <table>
            <tr><th scope="col">job</th><th scope="col">units</th><th scope="col">progress</th></tr>
            <tr><td>a</td>\(rest)</tr>
            <tr><td>b</td>\(rest)</tr>
            </table>
            <p>and 1 more</p>
            """
        #expect(page(tables: [table]).contains(expected))
    }

    @Test func `a table without rows says so`() {
        let table = StatusTable("Workers", columns: ["worker"], of: [String](), limit: 1) { [.text($0)] }
        #expect(page(tables: [table]).contains("<h2>Workers</h2>\n<p>none</p>"))
    }

    @Test(arguments: [Double.nan, -.infinity, -1, 0, 0.999, 1, 2, .infinity])
    func `a share is a whole percentage whatever it is`(share: Double) {
        let table = StatusTable("Jobs", columns: ["progress"], of: [share], limit: 1) { [.share($0)] }
        let percent = share == 0.999 ? 99 : share.isFinite && share >= 1 ? 100 : 0
        #expect(page(tables: [table]).contains("<progress max=\"100\" value=\"\(percent)\"></progress> \(percent) %"))
    }

    @Test(arguments: ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'--><b>", "</td></table>"])
    func `a hostile name is shown and does nothing, wherever it stands`(name: String) {
        let table = StatusTable(name, columns: [name], of: [name], limit: 1) { [.text($0), .number($0)] }
        let html = page(status: name, notReady: name, problems: [name], tables: [table])
        #expect(!html.contains(name))
        #expect(html.components(separated: HTMLText.escaped(name)) == 8)
    }

    @Test func `texts are HTML whatever they hold`() {
        #expect(
            HTMLText.escaped("a&b <c> \"d\" 'e'\u{0}\u{1B}\u{7F}\u{85}\n\té")
                == "a&amp;b &lt;c&gt; &quot;d&quot; &#39;e&#39;\\u{0}\\u{1b}\\u{7f}\\u{85}\n\té")
    }

    @Test func `a long text is cut, and one that is just not long is whole`() {
        let limit = OverviewPage.cellCharactersMax
        let table = StatusTable("Jobs", columns: ["message"], of: [limit, limit + 1], limit: 2) {
            [.text(String(repeating: "<", count: $0))]
        }
        let kept = String(repeating: "&lt;", count: limit)
        let html = page(tables: [table])
        #expect(html.contains("<td>\(kept)</td>"))
        #expect(html.contains("<td>\(kept)…</td>"))
    }
}

extension String {
    /// How many parts a text is cut into by another.
    fileprivate func components(separated separator: String) -> Int {
        split(separator: separator, omittingEmptySubsequences: false).count
    }
}
