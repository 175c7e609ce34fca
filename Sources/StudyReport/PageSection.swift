/// A part of the page with a heading; it exists only when it has content.
struct PageSection {
    let anchor: String
    let title: String
    let content: [Markup]

    var markup: Markup {
        .tag("section", ["id": anchor], [.tag("h2", [:], title)] + content)
    }

    static func table(_ anchor: String, _ table: ReportTable?) -> PageSection? {
        table.map { PageSection(anchor: anchor, title: $0.title, content: [HTMLTable($0).markup]) }
    }

    /// A figure with its picture and caption.
    static func figure(_ content: [Markup], caption: String) -> Markup {
        .tag("figure", [:], content + [.tag("figcaption", [:], caption)])
    }

    static func settings(_ description: StudyDescription) -> PageSection? {
        guard !description.settings.isEmpty else { return nil }
        let settings = description.settings.map { ($0.name, $0.value) }
        return PageSection(anchor: "settings", title: "Settings", content: [.definitions(settings, class: "settings")])
    }

    static func notes(_ description: StudyDescription) -> PageSection? {
        guard !description.notes.isEmpty else { return nil }
        let notes = description.notes.map { Markup.tag("li", [:], $0) }
        return PageSection(anchor: "notes", title: "Notes", content: [.tag("ul", ["class": "notes"], notes)])
    }
}
