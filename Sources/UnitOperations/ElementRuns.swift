/// Elements of a stored tensor: runs of equal length at equal distances, such as some columns of a matrix.
///
/// Contiguous elements are one run. The elements are numbered in the order in which the tensor stores them.
public struct ElementRuns: Hashable, Sendable, Codable {
    /// The position of the first element.
    public let lowerBound: Int
    /// Elements of a run.
    public let length: Int
    /// Elements from the start of a run to the start of the next.
    public let distance: Int
    /// Number of runs.
    public let count: Int

    /// One run of contiguous elements.
    public init(_ range: Range<Int>) {
        lowerBound = range.lowerBound
        length = range.count
        distance = range.count
        count = 1
    }

    /// Runs at equal distances; runs that touch each other are one.
    ///
    /// - Parameters:
    ///   - start: The position of the first element.
    ///   - length: Elements of a run, at least 1.
    ///   - distance: Elements from the start of a run to the start of the next, at least `length`.
    ///   - count: Number of runs, at least 1.
    public init(from start: Int, length: Int, distance: Int, count: Int) {
        precondition(length > 0 && distance >= length && count > 0, "runs overlap or hold nothing")
        let isOne = distance == length || count == 1
        lowerBound = start
        self.length = isOne ? length * count : length
        self.distance = isOne ? length * count : distance
        self.count = isOne ? 1 : count
    }

    /// The position behind the last element.
    public var upperBound: Int { lowerBound + (count - 1) * distance + length }
    /// Number of elements.
    public var elementCount: Int { length * count }
    /// Whether the elements are one run.
    public var isContiguous: Bool { count == 1 }

    /// The runs, in order.
    public var ranges: some RandomAccessCollection<Range<Int>> { (0..<count).lazy.map(range) }

    private func range(_ run: Int) -> Range<Int> {
        let start = lowerBound + run * distance
        return start..<start + length
    }

    /// The positions of some of the elements.
    ///
    /// - Parameter elements: Numbers of elements, within `0..<elementCount`.
    /// - Returns: Ranges of positions, in the elements' order.
    public func positions(of elements: Range<Int>) -> [Range<Int>] {
        guard !elements.isEmpty else { return [] }
        let runs = elements.lowerBound / length...(elements.upperBound - 1) / length
        return runs.map { run in
            let own = elements.clamped(to: run * length..<(run + 1) * length)
            let shift = lowerBound + run * (distance - length)
            return own.lowerBound + shift..<own.upperBound + shift
        }
    }

    /// Whether an element belongs to both.
    public func overlaps(_ other: ElementRuns) -> Bool {
        guard length > 0, other.length > 0, lowerBound < other.upperBound, other.lowerBound < upperBound else {
            return false
        }
        guard distance == other.distance else {
            let (few, many) = count < other.count ? (self, other) : (other, self)
            return few.ranges.contains(where: many.touches)
        }
        // Run i of one begins `ahead` + (j − i) · distance before run j of the other.
        let ahead = other.lowerBound - lowerBound
        let first = max(1 - count, Self.quotient(distance - other.length - ahead, distance))
        let last = min(other.count - 1, Self.quotient(length - 1 - ahead, distance))
        return first <= last
    }

    /// Whether a run has an element of a range.
    private func touches(_ range: Range<Int>) -> Bool {
        let run = max(0, Self.quotient(range.lowerBound - lowerBound - length, distance) + 1)
        return run < count && self.range(run).overlaps(range)
    }

    /// The quotient, rounded down.
    private static func quotient(_ value: Int, _ divisor: Int) -> Int {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

extension ElementRuns {
    /// Some runs that together are contiguous: one by itself, or several that fill each other's gaps.
    public struct Group: Equatable, Sendable {
        /// The positions of the members in the list, in the order of their first elements.
        public let members: [Int]
        /// The elements of all members.
        public let elements: ElementRuns
    }

    /// The groups of runs that fill each other's gaps, such as the even and the odd columns of a matrix.
    ///
    /// - Parameter runs: Runs that do not overlap.
    /// - Returns: Groups in the order of their first elements; each run is in one.
    public static func groups(of runs: [ElementRuns]) -> [Group] {
        let order = runs.indices.sorted { runs[$0].lowerBound < runs[$1].lowerBound }
        var groups: [Group] = []
        var next = 0
        while next < order.count {
            let first = runs[order[next]]
            var end = next + 1
            var length = first.length
            while length < first.distance, end < order.count, case let run = runs[order[end]],
                run.distance == first.distance, run.count == first.count, run.lowerBound == first.lowerBound + length
            {
                length += run.length
                end += 1
            }
            if length == first.distance, end > next + 1 {
                let elements = first.lowerBound..<first.lowerBound + first.distance * first.count
                groups.append(Group(members: Array(order[next..<end]), elements: ElementRuns(elements)))
                next = end
            } else {
                groups.append(Group(members: [order[next]], elements: first))
                next += 1
            }
        }
        return groups
    }
}

extension ElementRuns: CustomStringConvertible {
    /// The elements in words: `0..<6`, or `0..<3 and 4 more at a distance of 9`.
    public var description: String {
        let first = range(0)
        return isContiguous ? "\(first)" : "\(first) and \(count - 1) more at a distance of \(distance)"
    }
}
