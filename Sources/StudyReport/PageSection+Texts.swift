import PageMarkup

extension PageSection {
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
