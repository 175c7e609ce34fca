/// A table for people: a title, columns, and a bounded number of rows.
public struct StatusTable: Equatable, Sendable {
    /// The content of one place in the table.
    public enum Cell: Equatable, Sendable {
        /// A text; the reader of the table must treat it as untrusted.
        case text(String)
        /// A number with or without its unit, aligned to the right.
        case number(String)
        /// A finished share, from 0 to 1.
        case share(Double)
        /// A word for a state, and its mood.
        case state(String, Mood)
        /// The progress of each stage, in the order of the work.
        case stages([Stage])
    }

    /// How a state should be read.
    public enum Mood: String, Equatable, Sendable {
        /// Work is going on.
        case active
        /// The work ended well.
        case good
        /// Somebody should look.
        case bad
        /// No work is going on.
        case idle
    }

    /// The progress of a stage.
    public struct Stage: Equatable, Sendable {
        /// The stage's name.
        public var name: String
        /// Units that are finished.
        public var finished: Int
        /// All units.
        public var total: Int

        /// States the progress of a stage.
        public init(name: String, finished: Int, total: Int) {
            self.name = name
            self.finished = finished
            self.total = total
        }
    }

    /// The title.
    public let title: String
    /// The columns' names.
    public let columns: [String]
    /// A cell for each column in every row.
    public let rows: [[Cell]]
    /// The number of rows that are not shown.
    public let hiddenRows: Int

    /// Makes a table.
    ///
    /// - Parameters:
    ///   - title: The title.
    ///   - columns: The columns' names.
    ///   - items: One item for each row.
    ///   - limit: The most rows. Of further items only the number is shown.
    ///   - row: Makes an item's row.
    public init<Item>(_ title: String, columns: [String], of items: [Item], limit: Int, row: (Item) -> [Cell]) {
        self.title = title
        self.columns = columns
        rows = items.prefix(limit).map(row)
        hiddenRows = max(0, items.count - limit)
    }
}
