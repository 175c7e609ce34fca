import PageMarkup

/// The page of a study: one HTML file with all tables and figures; it loads nothing.
public struct ResultsPage: Sendable {
    private let description: StudyDescription
    private let rows: [StudyRow]
    private let figures: StudyFigures

    /// The page of these rows and figures; missing measurements are left out.
    public init(description: StudyDescription, rows: [StudyRow], figures: StudyFigures = StudyFigures()) {
        self.description = description
        self.rows = rows
        self.figures = figures
    }

    /// The file's text, valid as HTML and as XML.
    public var html: String {
        PageFrame(title: description.title, style: Stylesheet.rules, header: header, sections: sections).html
    }

    private var sections: [PageSection] {
        let tables = StudyTables(rows: rows)
        return [
            .table("addition", tables.comparison), .table("tasks", tables.perTask(order: figures.tasks)),
            .alphaSweep(tables), .storage(figures.storage ?? [], tables), .leaks(figures.leaks ?? []),
            .table("merges", tables.merges),
            .table("negation", tables.negation), .table("ablations", tables.ablations),
            .disentanglement(figures.disentanglement),
            .interference(figures), .localisation(figures), .penaltyCost(figures.penaltyCost),
            .settings(description), .notes(description),
        ].compactMap(\.self)
    }

    private var header: Markup {
        let seeds = description.seeds.map { "\($0)" }.joined(separator: ", ")
        let facts = [
            ("Date", description.date), ("Version", description.version), ("Machine", description.machine),
            (description.seeds.count == 1 ? "Seed" : "Seeds", seeds),
        ].filter { !$0.1.isEmpty }
        return .tag(
            "header",
            [:],
            [.tag("h1", [:], description.title)]
                + (description.model.isEmpty ? [] : [.tag("p", ["class": "lead"], description.model)])
                + Headline(tables: StudyTables(rows: rows)).markup
                + (facts.isEmpty ? [] : [.definitions(facts, class: "facts")])
        )
    }
}
