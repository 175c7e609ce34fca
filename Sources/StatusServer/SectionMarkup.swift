import Supervision

/// Writes the sections of the page for people as HTML.
enum SectionMarkup {
    static func html(_ section: StatusSection) -> String {
        let (title, content) =
            switch section {
            case .table(let table): (table.title, html(of: table))
            case .grid(let grid): (grid.title, GridPicture(grid: grid).html)
            case .history(let history): (history.title, HistoryPicture(history: history).html)
            }
        return "<section>\n<h2>\(HTMLText.escaped(HTMLText.shortened(title)))</h2>\n\(content)\n</section>"
    }

    private static func html(of table: StatusTable) -> String {
        guard !table.rows.isEmpty else { return "<p>none</p>" }
        let columns = table.columns.map { HTMLText.escaped($0) }
        let heads = columns.map { "<th scope=\"col\">\($0)</th>" }.joined()
        let rows = table.rows.map { row in
            // On a narrow screen the cells of a row stand below each other, each with its column's name.
            let cells = zip(row, columns).map { cell, column in html(of: cell, column) }
            return "<tr>\(cells.joined())</tr>"
        }
        let more = table.hiddenRows > 0 ? ["<p>and \(table.hiddenRows) more</p>"] : []
        let head = ["<table>", "<thead><tr>\(heads)</tr></thead>", "<tbody>"]
        return (head + rows + ["</tbody>", "</table>"] + more).joined(separator: "\n")
    }

    private static func html(of cell: StatusTable.Cell, _ column: String) -> String {
        let (kind, content) = content(of: cell, column)
        return "<td\(kind) data-label=\"\(column)\"><div>\(content)</div></td>"
    }

    private static func content(of cell: StatusTable.Cell, _ column: String) -> (kind: String, content: String) {
        switch cell {
        case .text(let text): return (isName(text) ? " class=\"name\"" : "", shown(text))
        case .number(let text): return (" class=\"number\"", shown(text))
        case .share(let share): return (" class=\"number\"", "\(bar(share, of: column)) \(percent(share)) %")
        case .state(let word, let mood): return ("", "<span class=\"state \(mood.rawValue)\">\(shown(word))</span>")
        case .stages(let stages):
            let items = stages.map { stage in
                let share = stage.total > 0 ? Double(stage.finished) / Double(stage.total) : 1
                return "<li><span>\(shown(stage.name))</span> \(bar(share, of: shown(stage.name))) "
                    + "<span class=\"number\">\(stage.finished)/\(stage.total)</span></li>"
            }
            return ("", "<ul class=\"stages\">\(items.joined())</ul>")
        }
    }

    /// Whether a text is a word that must not be broken, unlike a path or a sentence.
    private static func isName(_ text: String) -> Bool {
        text.unicodeScalars.count <= 24 && !text.unicodeScalars.contains { $0.properties.isWhitespace }
    }

    private static func shown(_ text: String) -> String { HTMLText.escaped(HTMLText.shortened(text)) }

    private static func bar(_ share: Double, of name: String) -> String {
        "<progress max=\"100\" value=\"\(percent(share))\" aria-label=\"\(name)\"></progress>"
    }

    /// Rounded down, so that 100 means complete.
    private static func percent(_ share: Double) -> Int {
        share.isFinite ? Int((min(max(share, 0), 1) * 100).rounded(.down)) : 0
    }
}
