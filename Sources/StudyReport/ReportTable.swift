/// A table as a value; the page, the terminal and Markdown each have their way to show it.
struct ReportTable: Equatable {
    struct Column: Equatable {
        let heading: String
        let isNumeric: Bool

        static func text(_ heading: String) -> Column { Column(heading: heading, isNumeric: false) }
        static func number(_ heading: String) -> Column { Column(heading: heading, isNumeric: true) }
    }

    /// What stands in one place of a table.
    struct Cell: Equatable {
        var text: String
        /// What follows `±`.
        var spread: String?
        /// Small print behind a name.
        var detail: String?
        var isEmphasised = false

        static let missing = Cell(text: "–")
    }

    /// What the table shows, in a few words.
    var title: String
    var columns: [Column]
    var rows: [[Cell]]
    /// How to read it.
    var caption: String
    /// What an emphasised number is.
    var emphasis = "the best of the methods that need no data of other tasks"

    var hasEmphasis: Bool { rows.joined().contains(where: \.isEmphasised) }

    /// How to read it, with what the emphasis means if there is any.
    var fullCaption: String { hasEmphasis ? "\(caption) In bold: \(emphasis)." : caption }

    /// The table without the columns that have nothing in any row.
    var withoutEmptyColumns: ReportTable {
        let kept = columns.indices.filter { column in rows.contains { $0[column] != .missing } }
        var table = self
        table.columns = kept.map { columns[$0] }
        table.rows = rows.map { row in kept.map { row[$0] } }
        return table
    }

    /// The table with the largest number of a column emphasised, among the rows that take part; equals share it.
    func emphasisingLargest(ofColumn column: Int, among takesPart: [Bool], values: [Double?]) -> ReportTable {
        let candidates = zip(takesPart, values).compactMap { $0 ? $1 : nil }.filter(\.isFinite)
        // Alone, nothing is best.
        guard candidates.count > 1, let largest = candidates.max() else { return self }
        var table = self
        for row in rows.indices where takesPart[row] {
            // Equal as shown is equal: a difference that no reader sees is no reason to prefer.
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
