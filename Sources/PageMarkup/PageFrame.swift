/// One HTML file that loads nothing and runs nothing: the head, the contents and the sections.
package struct PageFrame {
    private let title: String
    private let style: String
    private let header: Markup
    private let sections: [PageSection]
    private let hasSkipLink: Bool

    /// Arranges a page.
    ///
    /// - Parameters:
    ///   - title: The title of the window.
    ///   - style: The page's style rules, without `<` and `&`.
    ///   - header: What stands above the contents.
    ///   - sections: The sections, which the contents list.
    ///   - hasSkipLink: Whether the first link leads past the contents.
    package init(
        title: String, style: String, header: Markup, sections: [PageSection], hasSkipLink: Bool = false
    ) {
        (self.title, self.style, self.header, self.sections) = (title, style, header, sections)
        self.hasSkipLink = hasSkipLink
    }

    /// The file's text, valid as HTML and as XML.
    package var html: String {
        let skip: [Markup] = hasSkipLink ? [.tag("a", ["class": "skip", "href": "#main"], "Skip to the content")] : []
        let page = Markup.tag(
            "html",
            ["xmlns": "http://www.w3.org/1999/xhtml", "lang": "en"],
            [
                .tag(
                    "head",
                    [:],
                    [
                        .tag("meta", ["charset": "utf-8"]),
                        .tag("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
                        .tag("meta", ["name": "color-scheme", "content": "light dark"]),
                        .tag("title", [:], title), .style(style),
                    ]
                ),
                .tag(
                    "body", [:],
                    skip + [header] + contents
                        + [.tag("main", ["id": hasSkipLink ? "main" : nil], sections.map(\.markup))]),
            ]
        )
        return "<!DOCTYPE html>\n" + page.html
    }

    private var contents: [Markup] {
        guard sections.count > 1 else { return [] }
        let links = sections.map { section in
            Markup.tag("li", [:], [.tag("a", ["href": "#\(section.anchor)"], section.title)])
        }
        return [.tag("nav", ["aria-label": "Contents"], [.tag("ul", [:], links)])]
    }
}
