import PageMarkup

/// Writes a table as aligned text: title, headings, a rule, the rows, and the meaning of a mark.
struct PlainTable {
    private let table: ReportTable

    init(_ table: ReportTable) {
        self.table = table
    }

    var text: String {
        let layouts = table.columns.indices.map { ColumnLayout(of: table, column: $0) }
        let headings = zip(table.columns, layouts).map { column, layout in layout.heading(column.heading) }
        let rule = layouts.map { String(repeating: "─", count: $0.width) }
        let rows = table.rows.map { row in zip(row, layouts).map { cell, layout in layout.text(of: cell) } }
        let lines = ([headings, rule] + rows).map { line in
            line.joined(separator: "  ").trimmingTrailingSpaces
        }
        return ([table.title.withoutControls] + lines + (table.hasEmphasis ? ["* \(table.emphasis)"] : []))
            .joined(separator: "\n") + "\n"
    }
}

/// The widths of a column's parts: the number, its spread, and the mark of emphasis.
private struct ColumnLayout {
    let width: Int
    private let isNumeric: Bool
    private let textWidth: Int
    private let spreadWidth: Int
    private let markWidth: Int

    init(of table: ReportTable, column: Int) {
        let cells = table.rows.map { $0[column] }
        isNumeric = table.columns[column].isNumeric
        spreadWidth = cells.compactMap(\.spread?.count).max().map { $0 + 3 } ?? 0
        markWidth = cells.contains(where: \.isEmphasised) ? 2 : 0
        let cellWidth = cells.map { Self.words($0).count }.max() ?? 0
        width = max(table.columns[column].heading.withoutControls.count, cellWidth + spreadWidth + markWidth)
        textWidth = width - spreadWidth - markWidth
    }

    func heading(_ text: String) -> String {
        text.withoutControls.padded(to: width, toTheRight: isNumeric)
    }

    func text(of cell: ReportTable.Cell) -> String {
        let text = Self.words(cell).padded(to: textWidth, toTheRight: isNumeric)
        guard isNumeric else { return text }
        let spread = cell.spread.map { " ± " + String(repeating: " ", count: max(0, spreadWidth - 3 - $0.count)) + $0 }
        return text + (spread ?? "").padded(to: spreadWidth, toTheRight: false)
            + (cell.isEmphasised ? " *" : "").padded(to: markWidth, toTheRight: false)
    }

    private static func words(_ cell: ReportTable.Cell) -> String {
        (cell.text + (cell.detail.map { ", \($0)" } ?? "")).withoutControls
    }
}

extension String {
    /// The text with spaces for control characters, so that a name cannot move a terminal's cursor.
    var withoutControls: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.isControl ? " " : $0 }))
    }

    fileprivate func padded(to width: Int, toTheRight: Bool) -> String {
        let padding = String(repeating: " ", count: max(0, width - count))
        return toTheRight ? padding + self : self + padding
    }

    fileprivate var trimmingTrailingSpaces: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
