/// A table as a value; the page, the terminal and Markdown each show it in their own way.
struct ReportTable: Equatable {
    struct Column: Equatable {
        let heading: String
        let isNumeric: Bool

        static func text(_ heading: String) -> Column { Column(heading: heading, isNumeric: false) }
        static func number(_ heading: String) -> Column { Column(heading: heading, isNumeric: true) }
    }

    /// The content of one cell of a table.
    struct Cell: Equatable {
        var text: String
        /// The text after `±`.
        var spread: String?
        /// Small print after a name.
        var detail: String?
        var isEmphasised = false

        static let missing = Cell(text: "–")
    }

    /// The table's content, in a few words.
    var title: String
    var columns: [Column]
    var rows: [[Cell]]
    /// How to read the table.
    var caption: String
    /// The meaning of an emphasised number.
    var emphasis = "the best of the methods that need no data of other tasks"

    var hasEmphasis: Bool { rows.joined().contains(where: \.isEmphasised) }

    /// How to read the table, and the meaning of the emphasis if there is any.
    var fullCaption: String { hasEmphasis ? "\(caption) In bold: \(emphasis)." : caption }

    /// The table without columns that are empty in every row.
    var withoutEmptyColumns: ReportTable {
        let kept = columns.indices.filter { column in rows.contains { $0[column] != .missing } }
        var table = self
        table.columns = kept.map { columns[$0] }
        table.rows = rows.map { row in kept.map { row[$0] } }
        return table
    }

    /// Emphasises the largest number of a column among the given rows; equal numbers are all emphasised.
    func emphasisingLargest(ofColumn column: Int, among takesPart: [Bool], values: [Double?]) -> ReportTable {
        let candidates = zip(takesPart, values).compactMap { $0 ? $1 : nil }.filter(\.isFinite)
        // A single row is never emphasised.
        guard candidates.count > 1, let largest = candidates.max() else { return self }
        var table = self
        for row in rows.indices where takesPart[row] {
            // Numbers that look equal count as equal. A difference that no reader sees is no reason to prefer one.
            guard let value = values[row], NumberText.fixed(value) == NumberText.fixed(largest) else { continue }
            table.rows[row][column].isEmphasised = true
        }
        return table
    }
}

extension ReportTable.Cell {
    /// A mean with its spread over seeds.
    init(_ statistics: SeedStatistics?) {
        guard let statistics else {
            self = .missing
            return
        }
        self.init(text: NumberText.fixed(statistics.mean), spread: statistics.deviation.map { NumberText.fixed($0) })
    }

    /// A mean difference with its spread over seeds.
    init(difference statistics: SeedStatistics?) {
        guard let statistics else {
            self = .missing
            return
        }
        self.init(text: NumberText.signed(statistics.mean), spread: statistics.deviation.map { NumberText.fixed($0) })
    }

    init(count: Int?) {
        self = count.map { .init(text: "\($0)") } ?? .missing
    }

    init(optional text: String?) {
        self = text.map { .init(text: $0) } ?? .missing
    }
}
