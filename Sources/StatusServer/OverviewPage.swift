import Supervision

/// The page for people: a daemon's health and activity at one moment.
///
/// The page is complete in itself: it has no script, no image and nothing to fetch. It reloads by itself.
struct OverviewPage {
    /// The content policy: a browser may load nothing, and may use only the page's own style.
    static let contentPolicy = "default-src 'none'; style-src 'unsafe-inline'"
    private static let secondsBetweenLooks = 5

    let status: String
    let notReady: String?
    let healthProblems: [String]
    let version: [(name: String, value: String)]
    /// The moment that the page shows, in UTC.
    let time: String
    let sections: [StatusSection]

    /// The document.
    var html: String {
        let role = version.first { $0.name == "role" }?.value ?? ""
        let title = HTMLText.escaped(role.isEmpty ? "kfacd" : "kfacd \(role)")
        let facts = version.map { "\($0.name) \($0.value)" }.joined(separator: " · ")
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="refresh" content="\(Self.secondsBetweenLooks)">
            <title>\(title)</title>
            <style>
            \(OverviewStyle.rules)
            </style>
            </head>
            <body>
            <header>
            <h1>\(title)</h1>
            \(judgements.joined(separator: "\n"))
            <p class="status">\(HTMLText.escaped(status))</p>
            <p class="time"><time>\(HTMLText.escaped(time))</time></p>
            </header>
            <main>
            \(sections.map(SectionMarkup.html).joined(separator: "\n"))
            </main>
            <footer>
            <p>\(HTMLText.escaped(HTMLText.shortened(facts)))</p>
            <p><a href="/healthz">/healthz</a> <a href="/readyz">/readyz</a> <a href="/version">/version</a>
            <a href="/metrics">/metrics</a></p>
            </footer>
            </body>
            </html>

            """
    }

    private var judgements: [String] {
        let readiness = notReady.map { judgement("Not ready: \($0)", .bad) } ?? judgement("Ready", .good)
        guard !healthProblems.isEmpty else { return [readiness, judgement("Healthy", .good)] }
        return [readiness] + healthProblems.map { judgement("Not healthy: \($0)", .bad) }
    }

    private func judgement(_ text: String, _ mood: StatusTable.Mood) -> String {
        "<p class=\"state \(mood.rawValue)\">\(HTMLText.escaped(HTMLText.shortened(text)))</p>"
    }
}
