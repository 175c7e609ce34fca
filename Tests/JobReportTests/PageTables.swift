import TestSupport
import Testing

@testable import JobReport

/// The tables of a page, as a reader finds them.
struct PageTables {
    let page: PageReader

    init(_ report: SampleReport) {
        page = PageReader(JobReportPage(report: report.value).html)
    }

    /// The rows of the table whose caption has a text, each with its cells; the headings are first.
    func rows(_ caption: String) throws -> [[String]] {
        let starts = page.elements.indices.filter { page.elements[$0].name == "table" } + [page.elements.count]
        let found = zip(starts, starts.dropFirst()).first { start, end in
            page.elements[start..<end].contains { $0.name == "caption" && $0.text.contains(caption) }
        }
        let (start, end) = try #require(found, "no table is named \(caption)")
        var rows: [[String]] = []
        for element in page.elements[start..<end] where element.path.contains("table") {
            if element.name == "tr" { rows.append([]) }
            if ["td", "th"].contains(element.name) { rows[rows.count - 1].append(element.text) }
        }
        return rows
    }
}
