import PageMarkup

/// The tables of a study for the terminal and for a README.
public struct ResultsText: Sendable {
    private let rows: [StudyRow]

    /// The tables of these rows, as on the page; missing measurements are left out.
    public init(rows: [StudyRow]) {
        self.rows = rows
    }

    /// As aligned plain text.
    public var text: String {
        tables.map { PlainTable($0).text }.joined(separator: "\n")
    }

    /// As GitHub's Markdown, with a third-level heading for each table.
    public var markdown: String {
        tables.map { MarkdownTable($0).text }.joined(separator: "\n")
    }

    private var tables: [ReportTable] {
        let tables = StudyTables(rows: rows)
        return [tables.comparison, tables.perTask(order: []), tables.merges, tables.negation, tables.ablations]
            .compactMap(\.self)
    }
}
