/// A part of what a daemon shows to people who look.
public enum StatusSection: Equatable, Sendable {
    /// Rows and columns.
    case table(StatusTable)
    /// How far each of many things is in each of a few stages, as a picture.
    case grid(StatusGrid)
    /// A number over time, as a picture.
    case history(StatusHistory)
}

/// How far each of many things is in each of a few stages.
public struct StatusGrid: Equatable, Sendable {
    /// What one thing, or a few that are shown as one, has done in a stage.
    public struct Cell: Equatable, Sendable {
        /// Units that are finished.
        public var finished: Int
        /// All units; 0 where the stage has nothing to do.
        public var total: Int
        /// Whether somebody is at it.
        public var isActive: Bool

        /// States how far it is.
        public init(finished: Int = 0, total: Int = 0, isActive: Bool = false) {
            self.finished = finished
            self.total = total
            self.isActive = isActive
        }
    }

    /// What it is about.
    public let title: String
    /// The stages, from the first on.
    public let stages: [String]
    /// The things' names: of one, or of the first and the last that are shown as one.
    public let names: [String]
    /// For each stage, a cell for each name.
    public let cells: [[Cell]]

    /// Makes a grid, of neighbouring things one when there are more than fit.
    ///
    /// - Parameters:
    ///   - title: What it is about.
    ///   - stages: The stages.
    ///   - names: The things.
    ///   - limit: Most columns.
    ///   - cell: The cell of a stage and a thing, by their positions.
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
    /// What it is about.
    public let title: String
    /// What is counted, in the plural: `units`.
    public let unit: String
    /// How many in each minute, the earliest first; the last minute is not over.
    public let counts: [Int]

    /// Shows counts of minutes.
    public init(_ title: String, unit: String, counts: [Int]) {
        self.title = title
        self.unit = unit
        self.counts = counts
    }
}
