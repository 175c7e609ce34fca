public import JSONText
import PageMarkup

/// A job's report as one HTML page, `report.html`: it loads nothing, runs nothing and has no date of its own.
///
/// Equal reports have equal pages. All but the section `run` and the paragraph of the class `run` depends only on what
/// `report.json` has outside of its member `run`.
///
/// Source: DESIGN section 3.
public struct JobReportPage: Sendable {
    private let report: JSONValue

    /// The page of a report.
    ///
    /// - Parameter report: The content of `report.json`. A missing part, or one of another kind, is left out.
    public init(report: JSONValue) {
        self.report = report
    }

    /// The file's text, valid as HTML and as XML.
    public var html: String {
        let header = PageHeader(report: report)
        return PageFrame(
            title: header.title, style: PageStylesheet.rules, header: header.markup, sections: sections,
            hasSkipLink: true
        ).html
    }

    private var sections: [PageSection] {
        let health = HealthRow.all(of: report)
        return [
            .messages(report), .tasks(report), .interference(report), .merge(report), .factors(report),
            .distances(report), .pseudoRows(report), .compression(report), .health(health), .spectra(health),
            .settings(report),
            .inputs(report), .run(report),
        ].compactMap(\.self)
    }
}
