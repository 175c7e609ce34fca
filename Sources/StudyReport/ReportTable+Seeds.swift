import PageMarkup

extension ReportTable {
    /// A table of a study.
    init(
        title: String, columns: [Column], rows: [[Cell]], caption: String,
        emphasis besides: String? = nil
    ) {
        self.init(
            title: title, columns: columns, rows: rows, caption: caption,
            emphasis: besides ?? "the best of the methods that need no data of other tasks")
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
