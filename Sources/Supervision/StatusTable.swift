/// What a daemon tells in a table to people who look: a title, columns, and as many rows as are bearable.
public struct StatusTable: Equatable, Sendable {
    /// What stands at one place of it.
    public enum Cell: Equatable, Sendable {
        /// Words; whoever shows them takes them for a stranger's.
        case text(String)
        /// A number with or without its unit, which stands at the right.
        case number(String)
        /// How much is done, from 0 to 1.
        case share(Double)
    }

    /// What it is about.
    public let title: String
    /// The columns' names.
    public let columns: [String]
    /// A cell for each column in every row.
    public let rows: [[Cell]]
    /// How many rows more there would be.
    public let hiddenRows: Int

    /// Makes a table.
    ///
    /// - Parameters:
    ///   - title: What it is about.
    ///   - columns: The columns' names.
    ///   - items: What has a row each.
    ///   - limit: Most rows; of further items only the number is told.
    ///   - row: Makes an item's row.
    public init<Item>(_ title: String, columns: [String], of items: [Item], limit: Int, row: (Item) -> [Cell]) {
        self.title = title
        self.columns = columns
        rows = items.prefix(limit).map(row)
        hiddenRows = max(0, items.count - limit)
    }
}
