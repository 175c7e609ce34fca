import PageMarkup

/// The most of each kind that the page shows, so that a job with 100 000 layers or 1000 tasks has a page of less than
/// 2 MB.
///
/// What is left out is counted on the page, and stands in `report.json`.
enum ReportBounds {
    /// Rows of a table.
    static let rows = 100
    /// Rows of a picture.
    static let pictureRows = 40
    /// Task vectors and tasks of a matrix; a larger matrix is shown by its strongest entries.
    static let matrixSide = 24
    /// Warnings, and notices.
    static let messages = 100
    /// Names in a sentence.
    static let names = 10
    /// Characters of a name; the middle of a longer one is left out.
    static let nameCharacters = 160
    /// Characters of a name beside or above a matrix; another table has the name itself.
    static let matrixNameCharacters = 48
    /// Characters of a message.
    static let messageCharacters = 4000
    /// Characters of the job file.
    static let jobFileCharacters = 20_000
}

/// The rows that a table shows of all that there are.
struct ShownRows<Row> {
    let rows: [Row]
    private let total: Int
    private let noun: String
    private let order: String

    /// All rows in their order, or the first ones of another order.
    ///
    /// - Parameters:
    ///   - all: Every row.
    ///   - limit: The most rows.
    ///   - noun: What a row is, in the singular.
    ///   - order: Which rows are shown if not all: `with the largest error`.
    ///   - areOrdered: Whether a row is shown before another if not all are.
    init(
        _ all: [Row], limit: Int = ReportBounds.rows, noun: String, order: String,
        by areOrdered: (Row, Row) -> Bool
    ) {
        rows = all.count <= limit ? all : Self.first(limit, of: all, by: areOrdered)
        (total, self.noun, self.order) = (all.count, noun, order)
    }

    /// All rows in their order, or the first ones.
    init(_ all: [Row], limit: Int = ReportBounds.rows, noun: String) {
        rows = Array(all.prefix(limit))
        (total, self.noun, order) = (all.count, noun, "that come first")
    }

    /// The first rows of an order; of equal rows the earlier ones, in one pass without sorting all.
    private static func first(_ limit: Int, of all: [Row], by areOrdered: (Row, Row) -> Bool) -> [Row] {
        var kept: [Row] = []
        for row in all {
            if kept.count == limit, let last = kept.last, !areOrdered(row, last) { continue }
            var (low, high) = (0, kept.count)
            while low < high {
                let middle = (low + high) / 2
                if areOrdered(row, kept[middle]) { high = middle } else { low = middle + 1 }
            }
            kept.insert(row, at: low)
            if kept.count > limit { kept.removeLast() }
        }
        return kept
    }

    /// The sentence about what is left out; empty if nothing is.
    var remark: String {
        guard rows.count < total else { return "" }
        return " Shown are the \(NumberWords.count(rows.count, noun)) \(order); "
            + "\(NumberText.count(total - rows.count)) more stand in report.json."
    }
}

extension String {
    /// The text without the middle of a very long one.
    var shownName: String { cutInTheMiddle(ReportBounds.nameCharacters) }

    /// The beginning and the end of a long text; names of layers and tasks differ at both.
    func cutInTheMiddle(_ limit: Int) -> String {
        guard unicodeScalars.count > limit else { return self }
        let half = limit / 2
        return String(UnicodeScalarView(unicodeScalars.prefix(half))) + "…"
            + String(UnicodeScalarView(unicodeScalars.suffix(half)))
    }

    /// The beginning of the text.
    func beginning(_ limit: Int) -> String {
        guard unicodeScalars.count > limit else { return self }
        return String(UnicodeScalarView(unicodeScalars.prefix(limit))) + "…"
    }
}

extension [String] {
    /// The first texts, and the number of the others.
    func joinedForReading(limit: Int = ReportBounds.names) -> String {
        let shown = prefix(limit).map(\.shownName).joined(separator: ", ")
        return count > limit ? "\(shown) and \(NumberText.count(count - limit)) more" : shown
    }
}
