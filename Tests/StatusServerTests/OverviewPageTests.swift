import Supervision
import Testing

@testable import StatusServer

/// The page for people, as text.
@Suite struct OverviewPageTests {
    private func page(
        status: String = "no job", notReady: String? = nil, problems: [String] = [], tables: [StatusTable] = [],
        pictures: [StatusSection] = []
    ) -> String {
        OverviewPage(
            status: status, notReady: notReady, healthProblems: problems,
            version: [("version", "1.2.3"), ("role", "worker")], time: "2026-11-24T09:00:00.000Z",
            sections: tables.map(StatusSection.table) + pictures
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
        #expect(
            well.contains(
                "<p class=\"state good\">Ready</p>\n<p class=\"state good\">Healthy</p>\n"
                    + "<p class=\"status\">2 units under way</p>\n"
                    + "<p class=\"time\"><time>2026-11-24T09:00:00.000Z</time></p>"))
        #expect(well.contains("<p>version 1.2.3 · role worker</p>"))
        let unwell = page(notReady: "greeting the coordinator", problems: ["lane 1 stands still", "a loop too"])
        #expect(
            unwell.contains(
                "<p class=\"state bad\">Not ready: greeting the coordinator</p>\n"
                    + "<p class=\"state bad\">Not healthy: lane 1 stands still</p>\n"
                    + "<p class=\"state bad\">Not healthy: a loop too</p>"))
    }

    @Test func `a table has its columns, a row for each item, and the number of those that are not shown`() {
        let table = StatusTable("Jobs", columns: ["job", "units", "done"], of: ["a", "b", "c"], limit: 2) {
            [.text($0), .number("3/7"), .share(0.4299)]
        }
        let rest =
            "<td class=\"number\" data-label=\"units\"><div>3/7</div></td>"
            + "<td class=\"number\" data-label=\"done\"><div>"
            + "<progress max=\"100\" value=\"42\" aria-label=\"done\"></progress> 42 %</div></td>"
        let expected = """
            <h2>Jobs</h2>
            <table>
            <thead><tr><th scope="col">job</th><th scope="col">units</th><th scope="col">done</th></tr></thead>
            <tbody>
            <tr><td class="name" data-label="job"><div>a</div></td>\(rest)</tr>
            <tr><td class="name" data-label="job"><div>b</div></td>\(rest)</tr>
            </tbody>
            </table>
            <p>and 1 more</p>
            """
        #expect(page(tables: [table]).contains(expected))
    }

    @Test func `a state has its mood, and a stage its bar and its numbers`() {
        let stages: [StatusTable.Stage] = [
            .init(name: "factor", finished: 3, total: 4), .init(name: "none", finished: 0, total: 0),
        ]
        let table = StatusTable("Jobs", columns: ["state", "stages"], of: [1], limit: 1) { _ in
            [.state("running", .active), .stages(stages)]
        }
        let html = page(tables: [table])
        #expect(html.contains("<span class=\"state active\">running</span>"))
        #expect(
            html.contains(
                "<li><span>factor</span> <progress max=\"100\" value=\"75\" aria-label=\"factor\"></progress> "
                    + "<span class=\"number\">3/4</span></li>"))
        #expect(html.contains("value=\"100\" aria-label=\"none\""))
    }

    @Test func `a grid has a row for each stage, and as many columns as fit`() {
        let names = (0..<10).map { "layer \($0)" }
        let grid = StatusGrid("Layers", stages: ["factor", "invert"], names: names, limit: 4) { stage, layer in
            stage == 0 ? .init(finished: layer, total: 9, isActive: layer == 9) : .init()
        }
        #expect(grid.names == ["layer 0 … layer 2", "layer 3 … layer 5", "layer 6 … layer 8", "layer 9"])
        #expect(grid.cells[0].map(\.finished) == [3, 12, 21, 9])
        #expect(grid.cells[0].map(\.total) == [27, 27, 27, 9])
        let html = page(pictures: [.grid(grid)])
        #expect(html.contains("<title>layer 3 … layer 5: factor 12 of 27</title>"))
        #expect(html.contains("<rect class=\"cell active s10\""))
        #expect(html.components(separated: "<rect class=\"none\"") == 5)
        let none = StatusGrid("Layers", stages: [], names: [], limit: 4) { _, _ in .init() }
        #expect(page(pictures: [.grid(none)]).contains("<h2>Layers</h2>\n<p>none</p>"))
    }

    @Test func `a history has a bar for each minute, the highest as high as the picture`() {
        let html = page(pictures: [.history(StatusHistory("Units", unit: "units", counts: [0, 1, 500]))])
        #expect(html.contains("height=\"0\"><title>2 min ago: 0 units</title>"))
        #expect(html.contains("height=\"1\"><title>1 min ago: 1 units</title>"))
        #expect(html.contains("height=\"96\"><title>this minute: 500 units</title>"))
        let idle = page(pictures: [.history(StatusHistory("Units", unit: "units", counts: [0, 0]))])
        #expect(idle.contains("<p>no units in the last 2 minutes</p>"))
    }

    @Test func `a table without rows says so`() {
        let table = StatusTable("Workers", columns: ["worker"], of: [String](), limit: 1) { [.text($0)] }
        #expect(page(tables: [table]).contains("<h2>Workers</h2>\n<p>none</p>"))
    }

    @Test(arguments: [Double.nan, -.infinity, -1, 0, 0.999, 1, 2, .infinity])
    func `a share is a whole percentage whatever it is`(share: Double) {
        let table = StatusTable("Jobs", columns: ["progress"], of: [share], limit: 1) { [.share($0)] }
        let percent = share == 0.999 ? 99 : share.isFinite && share >= 1 ? 100 : 0
        #expect(page(tables: [table]).contains("value=\"\(percent)\" aria-label=\"progress\"></progress> \(percent) %"))
    }

    @Test(arguments: ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'--><b>", "</td></table>"])
    func `a hostile name is shown and does nothing, wherever it stands`(name: String) {
        let table = StatusTable(name, columns: [name, name], of: [name], limit: 1) { [.text($0), .number($0)] }
        let html = page(status: name, notReady: name, problems: [name], tables: [table])
        #expect(!html.contains(name))
        #expect(html.components(separated: HTMLText.escaped(name)) == 11)
    }

    @Test func `texts are HTML whatever they hold`() {
        #expect(
            HTMLText.escaped("a&b <c> \"d\" 'e'\u{0}\u{1B}\u{7F}\u{85}\n\té")
                == "a&amp;b &lt;c&gt; &quot;d&quot; &#39;e&#39;\\u{0}\\u{1b}\\u{7f}\\u{85}\n\té")
    }

    @Test func `a long text is cut, and one that is just not long is whole`() {
        let limit = HTMLText.charactersMax
        let table = StatusTable("Jobs", columns: ["message"], of: [limit, limit + 1], limit: 2) {
            [.text(String(repeating: "<", count: $0))]
        }
        let kept = String(repeating: "&lt;", count: limit)
        let html = page(tables: [table])
        #expect(html.contains("<div>\(kept)</div>"))
        #expect(html.contains("<div>\(kept)…</div>"))
    }
}

extension String {
    /// The number of parts into which a separator cuts the text.
    fileprivate func components(separated separator: String) -> Int {
        split(separator: separator, omittingEmptySubsequences: false).count
    }
}
