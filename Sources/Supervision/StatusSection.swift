/// A part of the page that a daemon shows to people.
public enum StatusSection: Equatable, Sendable {
    /// Rows and columns.
    case table(StatusTable)
    /// The progress of many items in a few stages, as a picture.
    case grid(StatusGrid)
    /// A number over time, as a picture.
    case history(StatusHistory)
}

/// The progress of many items in a few stages.
public struct StatusGrid: Equatable, Sendable {
    /// The progress of one item in a stage, or of a few items that are shown as one.
    public struct Cell: Equatable, Sendable {
        /// Units that are finished.
        public var finished: Int
        /// All units; 0 when the stage has nothing to do.
        public var total: Int
        /// Whether a unit is being computed.
        public var isActive: Bool

        /// States the progress of a cell.
        public init(finished: Int = 0, total: Int = 0, isActive: Bool = false) {
            self.finished = finished
            self.total = total
            self.isActive = isActive
        }
    }

    /// The title.
    public let title: String
    /// The stages in their order.
    public let stages: [String]
    /// The names of the items; items that are shown as one have the name of the first and the last.
    public let names: [String]
    /// For each stage, a cell for each name.
    public let cells: [[Cell]]

    /// Makes a grid; neighbouring items are joined when there are more than the limit.
    ///
    /// - Parameters:
    ///   - title: The title.
    ///   - stages: The stages.
    ///   - names: The items.
    ///   - limit: The most columns.
    ///   - cell: The cell of a stage and an item, by their positions.
    public init(_ title: String, stages: [String], names: [String], limit: Int, cell: (Int, Int) -> Cell) {
        self.title = title
        self.stages = stages
        let width = max(1, (names.count + limit - 1) / max(limit, 1))
        let groups = stride(from: 0, to: names.count, by: width).map { $0..<min($0 + width, names.count) }
        self.names = groups.map { group in
            let (first, last) = (names[group.lowerBound], names[group.upperBound - 1])
            return first == last ? first : "\(first) … \(last)"
        }
        cells = stages.indices.map { stage in
            groups.map { group in
                group.reduce(into: Cell()) { sum, thing in
                    let one = cell(stage, thing)
                    sum.finished += one.finished
                    sum.total += one.total
                    sum.isActive = sum.isActive || one.isActive
                }
            }
        }
    }
}

/// A number for each of the last minutes.
public struct StatusHistory: Equatable, Sendable {
    /// The title.
    public let title: String
    /// The counted thing, in the plural: `units`.
    public let unit: String
    /// The count of each minute, earliest first; the last one is of the current minute.
    public let counts: [Int]

    /// Makes a history of counts by minute.
    public init(_ title: String, unit: String, counts: [Int]) {
        self.title = title
        self.unit = unit
        self.counts = counts
    }
}
