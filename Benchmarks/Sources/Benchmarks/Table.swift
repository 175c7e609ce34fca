/// A table of text; its first column is a label, and all others are aligned to the right.
struct Table {
    private var rows: [[String]]

    init(_ headings: [String]) {
        rows = [headings]
    }

    mutating func add(_ row: [String]) {
        rows.append(row)
    }

    /// The lines, each with an indent; a row may have fewer cells than the headings.
    var text: String {
        let complete = rows.filter { $0.count == rows[0].count }
        let widths = rows[0].indices.map { column in complete.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = "  "
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
                // Text in place of numbers begins where the label ends.
                let isLabel = column == 0 || row.count < rows[0].count
                line += (column == 0 ? "" : "  ") + (isLabel ? cell + padding : padding + cell)
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
