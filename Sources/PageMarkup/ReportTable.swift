/// A table as a value; a page, the terminal and Markdown each show it in their own way.
package struct ReportTable: Equatable {
    package struct Column: Equatable {
        package let heading: String
        package let isNumeric: Bool

        package static func text(_ heading: String) -> Column { Column(heading: heading, isNumeric: false) }
        package static func number(_ heading: String) -> Column { Column(heading: heading, isNumeric: true) }
    }

    /// The content of one cell of a table.
    package struct Cell: Equatable {
        package var text: String
        /// The text after `±`.
        package var spread: String?
        /// Small print after a name.
        package var detail: String?
        package var isEmphasised = false
        /// Whether the text is a name from outside, whose direction of writing must not reach its surroundings.
        package var isName = false

        package static let missing = Cell(text: "–")

        package init(text: String, spread: String? = nil, detail: String? = nil, isEmphasised: Bool = false) {
            (self.text, self.spread, self.detail, self.isEmphasised) = (text, spread, detail, isEmphasised)
        }

        /// A name from outside.
        package static func name(_ text: String, detail: String? = nil) -> Cell {
            var cell = Cell(text: text, detail: detail)
            cell.isName = true
            return cell
        }
    }

    /// The table's content, in a few words.
    package var title: String
    package var columns: [Column]
    package var rows: [[Cell]]
    /// How to read the table.
    package var caption: String
    /// The meaning of an emphasised number.
    package var emphasis: String

    package init(title: String, columns: [Column], rows: [[Cell]], caption: String, emphasis: String) {
        (self.title, self.columns, self.rows) = (title, columns, rows)
        (self.caption, self.emphasis) = (caption, emphasis)
    }

    package var hasEmphasis: Bool { rows.joined().contains(where: \.isEmphasised) }

    /// How to read the table, and the meaning of the emphasis if there is any.
    package var fullCaption: String { hasEmphasis ? "\(caption) In bold: \(emphasis)." : caption }

    /// The table without columns that are empty in every row.
    package var withoutEmptyColumns: ReportTable {
        let kept = columns.indices.filter { column in rows.contains { $0[column] != .missing } }
        var table = self
        table.columns = kept.map { columns[$0] }
        table.rows = rows.map { row in kept.map { row[$0] } }
        return table
    }
}
