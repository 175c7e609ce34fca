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
        /// A word that says how something fares, and how that is to be taken.
        case state(String, Mood)
        /// How far each stage of something is, in the order of the work.
        case stages([Stage])
    }

    /// How a state is to be taken.
    public enum Mood: String, Equatable, Sendable {
        /// Something goes on.
        case active
        /// It ended well.
        case good
        /// Somebody should look.
        case bad
        /// Nothing goes on.
        case idle
    }

    /// How far a stage is.
    public struct Stage: Equatable, Sendable {
        /// What is done in it.
        public var name: String
        /// Units that are finished.
        public var finished: Int
        /// All units.
        public var total: Int

        /// States how far a stage is.
        public init(name: String, finished: Int, total: Int) {
            self.name = name
            self.finished = finished
            self.total = total
        }
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
