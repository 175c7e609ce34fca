import PageMarkup

/// Writes a table as GitHub's Markdown.
struct MarkdownTable {
    private let table: ReportTable

    init(_ table: ReportTable) {
        self.table = table
    }

    var text: String {
        let headings = table.columns.map { Self.escaped($0.heading) }
        let alignments = table.columns.map { $0.isNumeric ? "---:" : "---" }
        let rows = table.rows.map { $0.map(Self.text) }
        let lines = ([headings, alignments] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
        return "### \(Self.escaped(table.title))\n\n" + lines.joined(separator: "\n") + "\n\n"
            + Self.escaped(table.fullCaption) + "\n"
    }

    private static func text(of cell: ReportTable.Cell) -> String {
        let number = escaped(cell.text + (cell.spread.map { " ± \($0)" } ?? ""))
        let emphasised = cell.isEmphasised ? "**\(number)**" : number
        return emphasised + (cell.detail.map { ", \(escaped($0))" } ?? "")
    }

    /// Escapes the characters that Markdown or HTML would interpret.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.withoutControls {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case "|", "\\", "*", "`", "[", "]": escaped += "\\\(character)"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
