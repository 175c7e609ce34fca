import Testing
import UnitOperations

/// The elements of parts of tensors, against sets of their positions.
struct ElementRunsTests {
    /// All runs of a small tensor: every start, length, distance and number.
    private static let all: [ElementRuns] = (0..<4).flatMap { start in
        (1..<4).flatMap { length in
            (length..<6).flatMap { distance in
                (1..<4).map { ElementRuns(from: start, length: length, distance: distance, count: $0) }
            }
        }
    }

    private func positions(_ runs: ElementRuns) -> [Int] { runs.ranges.flatMap { $0 } }

    @Test func `runs that touch each other are one`() {
        #expect(ElementRuns(from: 3, length: 2, distance: 2, count: 4) == ElementRuns(3..<11))
        #expect(ElementRuns(from: 3, length: 2, distance: 9, count: 1) == ElementRuns(3..<5))
        #expect(ElementRuns(2..<5).description == "2..<5")
        #expect(
            ElementRuns(from: 2, length: 3, distance: 9, count: 4).description
                == "2..<5 and 3 more at a distance of 9")
    }

    @Test func `runs begin with their first element, end with their last, and count them`() {
        for runs in Self.all {
            let positions = positions(runs)
            #expect(positions.first == runs.lowerBound && positions.last == runs.upperBound - 1)
            #expect(positions.count == runs.elementCount && positions == positions.sorted())
        }
    }

    @Test func `some of the elements lie where they lie among all`() {
        for runs in Self.all {
            let positions = positions(runs)
            for first in 0...runs.elementCount {
                for end in first...runs.elementCount {
                    #expect(runs.positions(of: first..<end).flatMap { $0 } == Array(positions[first..<end]))
                }
            }
        }
    }

    @Test func `runs overlap if an element belongs to both`() {
        for one in Self.all {
            let own = Set(positions(one))
            for other in Self.all {
                let both = !own.isDisjoint(with: positions(other))
                #expect(one.overlaps(other) == both, "\(one) and \(other)")
            }
        }
        #expect(!ElementRuns(3..<3).overlaps(ElementRuns(0..<9)))
    }

    @Test func `runs that fill each other's gaps are one group, and others are alone`() {
        let (even, odd) = (
            ElementRuns(from: 8, length: 1, distance: 2, count: 4),
            ElementRuns(from: 9, length: 1, distance: 2, count: 4)
        )
        let groups = ElementRuns.groups(of: [odd, ElementRuns(0..<8), even])
        #expect(groups.map(\.members) == [[1], [2, 0]])
        #expect(groups.map(\.elements) == [ElementRuns(0..<8), ElementRuns(8..<16)])
        let uneven = [
            ElementRuns(from: 0, length: 1, distance: 6, count: 3),
            ElementRuns(from: 1, length: 2, distance: 6, count: 3),
            ElementRuns(from: 3, length: 3, distance: 6, count: 3),
        ]
        #expect(ElementRuns.groups(of: uneven).map(\.elements) == [ElementRuns(0..<18)])
        #expect(ElementRuns.groups(of: Array(uneven.dropLast())).map(\.members) == [[0], [1]])
    }
}
