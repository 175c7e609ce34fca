import JSONText
import TestSupport
import Testing

@testable import JobReport

/// What holds for the page of any report.
struct PageRuleTests {
    private static let samples = [SampleReport.small, .long, .plain, .curvature]

    @Test(arguments: samples.indices)
    func `the page is well formed, and has what assistive programs need`(index: Int) {
        let page = PageTables(Self.samples[index]).page
        #expect(page.problem == nil)
        #expect(page.all("table").count == page.all("caption").count)
        #expect(page.all("th").allSatisfy { ["row", "col"].contains($0.attributes["scope"]) })
        let regions = page.all("div").filter { $0.attributes["role"] == "region" }
        #expect(regions.count == page.all("table").count + page.all("svg").count)
        #expect(
            regions.allSatisfy { $0.attributes["tabindex"] == "0" && $0.attributes["aria-label"]?.isEmpty == false })
        #expect(page.all("table").allSatisfy { $0.path.last == "div" })
    }

    @Test(arguments: samples.indices)
    func `the page loads nothing and runs nothing`(index: Int) {
        let html = JobReportPage(report: Self.samples[index].value).html
        for word in ["<script", "<link", "<img", "<iframe", "@import", "url(", " src=", " onload", " style=\"back"] {
            #expect(!html.contains(word), "\(word)")
        }
        let addresses = Set(html.split(separator: "\"").filter { $0.contains("://") }.map(String.init))
        #expect(
            addresses.allSatisfy { $0.hasPrefix("http://www.w3.org/") || $0.hasPrefix("https://arxiv.org/abs/") },
            "\(addresses)")
    }

    @Test func `names from outside stay text, and keep their direction to themselves`() throws {
        let page = PageTables(.long).page
        #expect(page.all("script").isEmpty && page.all("b").isEmpty)
        #expect(page.all("bdi").contains { $0.text == "<script>alert(1)</script>" })
        // The character that turns the direction is replaced.
        #expect(page.all("bdi").contains { $0.text == "traffic\u{FFFD}signs & \"quotes\" 'too'" })
        #expect(!page.elements.contains { $0.text.contains("\u{202E}") })
        // The middle of a very long name is left out.
        let cut = page.all("bdi").filter { $0.text.hasPrefix("a-very-long-name/") && $0.text.contains("…") }
        #expect(!cut.isEmpty)
        #expect(page.all("bdi").allSatisfy { $0.text.count <= 3 * ReportBounds.nameCharacters + 60 })
    }

    @Test func `rows beyond the bound are counted, and the worst are shown`() throws {
        var report = SampleReport.small
        report.layers = (1...250).map { "layer.\($0)" }
        report.warnings = (1...130).map { "warning \($0)" }
        report.jobFile = String(repeating: "x", count: ReportBounds.jobFileCharacters + 1)
        let tables = PageTables(report)
        let rows = try tables.rows("How far the accumulated").dropFirst()
        #expect(rows.count == ReportBounds.rows)
        // The distance grows with the number of the layer.
        #expect(rows.first?.first == "layer.250")
        let captions = tables.page.all("caption").map(\.text)
        #expect(
            captions.contains {
                $0.hasSuffix("Shown are the 100 layers with the largest distance; 150 more stand in report.json.")
            })
        #expect(tables.page.all("li").count { $0.attributes["class"] == "warning" } == ReportBounds.messages)
        #expect(tables.page.all("p").contains { $0.text == "30 more stand in report.json." })
        #expect(tables.page.all("h3").map(\.text) == ["Job file, its beginning"])
        #expect(tables.page.all("pre").first?.text.count == ReportBounds.jobFileCharacters + 1)
    }

    @Test func `a matrix of many tasks is shown by its strongest pairs`() throws {
        var report = SampleReport.small
        report.tasks = (1...30).map { "task-\($0)" }
        let tables = PageTables(report)
        let rows = try tables.rows("Relative means divided").dropFirst()
        #expect(rows.count == ReportBounds.rows)
        // I[i][j] / I[j][j] = (i + 1) / 16: the last vector is the strongest on every task.
        #expect(rows.prefix(29).allSatisfy { $0[0] == "task-30" && $0[2] == "1.88" })
        #expect(tables.page.all("table").allSatisfy { $0.attributes["class"] != "heat" })
    }

    @Test func `a large job has a page of less than two megabytes`() throws {
        var report = SampleReport.small
        report.tasks = (1...200).map { "task-\($0)-\(String(repeating: "n", count: 150))" }
        report.layers = (1...3000).map { "model.layers.\($0).\(String(repeating: "m", count: 150))" }
        let html = JobReportPage(report: report.value).html
        #expect(html.utf8.count < 2_000_000, "\(html.utf8.count)")
    }
}
