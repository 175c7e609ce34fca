/// A part of a page with a heading; it exists only when it has content.
package struct PageSection {
    package let anchor: String
    package let title: String
    package let content: [Markup]

    package init(anchor: String, title: String, content: [Markup]) {
        (self.anchor, self.title, self.content) = (anchor, title, content)
    }

    package var markup: Markup {
        .tag("section", ["id": anchor], [.tag("h2", [:], title)] + content)
    }

    package static func table(_ anchor: String, _ table: ReportTable?) -> PageSection? {
        table.map { PageSection(anchor: anchor, title: $0.title, content: [HTMLTable($0).markup]) }
    }

    /// A figure with its picture and caption.
    package static func figure(_ content: [Markup], caption: String) -> Markup {
        .tag("figure", [:], content + [.tag("figcaption", [:], caption)])
    }
}
