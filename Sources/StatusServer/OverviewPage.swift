import Supervision

/// The page for people: how a daemon fares and what it does, at one moment.
///
/// It is all in one: no script, no image, nothing that a browser would fetch, and it is asked for anew by itself.
struct OverviewPage {
    /// What a browser may load for it: nothing, and of what it brings along only the style.
    static let contentPolicy = "default-src 'none'; style-src 'unsafe-inline'"
    /// Most characters of a cell: a message may be as long as whoever wrote it liked.
    static let cellCharactersMax = 500
    private static let secondsBetweenLooks = 5

    let status: String
    let notReady: String?
    let healthProblems: [String]
    let version: [(name: String, value: String)]
    let tables: [StatusTable]

    /// The document.
    var html: String {
        let role = version.first { $0.name == "role" }?.value ?? ""
        let title = HTMLText.escaped(role.isEmpty ? "kfacd" : "kfacd \(role)")
        let versionTable = StatusTable("Version", columns: ["what", "is"], of: version, limit: version.count) {
            [.text($0.name), .text($0.value)]
        }
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <meta http-equiv="refresh" content="\(Self.secondsBetweenLooks)">
            <title>\(title)</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <h1>\(title)</h1>
            <p class="status">\(HTMLText.escaped(status))</p>
            \(judgements.joined(separator: "\n"))
            \((tables + [versionTable]).map { Self.markup(of: $0) }.joined(separator: "\n"))
            <p><a href="/healthz">/healthz</a> <a href="/readyz">/readyz</a> <a href="/version">/version</a>
            <a href="/metrics">/metrics</a></p>
            </body>
            </html>

            """
    }

    private var judgements: [String] {
        let readiness =
            notReady.map { "<p class=\"bad\">Not ready: \(HTMLText.escaped($0))</p>" } ?? "<p>Ready: yes</p>"
        guard !healthProblems.isEmpty else { return [readiness, "<p>Healthy: yes</p>"] }
        return [readiness] + healthProblems.map { "<p class=\"bad\">Not healthy: \(HTMLText.escaped($0))</p>" }
    }

    private static func markup(of table: StatusTable) -> String {
        let heading = "<h2>\(HTMLText.escaped(table.title))</h2>"
        guard !table.rows.isEmpty else { return heading + "\n<p>none</p>" }
        let columns = table.columns.map { "<th scope=\"col\">\(HTMLText.escaped($0))</th>" }.joined()
        let rows = table.rows.map { row in "<tr>\(row.map { markup(of: $0) }.joined())</tr>" }
        let more = table.hiddenRows > 0 ? ["<p>and \(table.hiddenRows) more</p>"] : []
        let lines = [heading, "<table>", "<tr>\(columns)</tr>"] + rows + ["</table>"] + more
        return lines.joined(separator: "\n")
    }

    private static func markup(of cell: StatusTable.Cell) -> String {
        switch cell {
        case .text(let text): return "<td>\(HTMLText.escaped(shortened(text)))</td>"
        case .number(let text): return "<td class=\"number\">\(HTMLText.escaped(shortened(text)))</td>"
        case .share(let share):
            let percent = share.isFinite ? Int((min(max(share, 0), 1) * 100).rounded(.down)) : 0
            return "<td class=\"number\"><progress max=\"100\" value=\"\(percent)\"></progress> \(percent) %</td>"
        }
    }

    private static func shortened(_ text: String) -> String {
        let kept = text.unicodeScalars.prefix(cellCharactersMax)
        let isWhole = kept.endIndex == text.unicodeScalars.endIndex
        return String(String.UnicodeScalarView(kept)) + (isWhole ? "" : "…")
    }

    private static let style = """
        :root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
        body { margin: 1.5rem; }
        h1 { font-size: 1.3rem; }
        h2 { font-size: 1.05rem; margin: 1.5rem 0 0.4rem; }
        table { border-collapse: collapse; }
        th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }
        td { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 40rem; }
        td.number { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }
        .status { font-size: 1.1rem; }
        .bad { color: #b3261e; }
        @media (prefers-color-scheme: dark) { .bad { color: #ff8a80; } }
        """
}
