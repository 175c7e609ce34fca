import TestSupport
import Testing

@testable import Scheduling

@Suite struct SortedPartsTests {
    @Test func `values in parts are those of a sorted set, whatever is inserted and removed`() {
        var generator = SplitMix64(seed: 7)
        var parts = SortedParts<Int>()
        var expected: Set<Int> = []
        // Long enough that parts are divided, and emptied again.
        for step in 0..<6000 {
            let value = Int.random(in: 0..<4000, using: &generator)
            if step % 5 < (step < 4000 ? 4 : 1) {
                #expect(parts.insert(value) == expected.insert(value).inserted)
            } else {
                #expect(parts.remove(value) == (expected.remove(value) != nil))
            }
        }
        let sorted = expected.sorted()
        #expect(Array(parts.elements) == sorted)
        #expect(parts.count == sorted.count)
        #expect(parts.first == sorted.first)
        #expect(parts.last == sorted.last)
        for value in stride(from: -1, through: 4000, by: 37) {
            #expect(parts.contains(value) == expected.contains(value))
            #expect(parts.first(after: value) == sorted.first { $0 > value })
            #expect(Array(parts.elements(from: value)) == sorted.filter { $0 >= value })
        }
        parts.removeAll { $0.isMultiple(of: 2) }
        #expect(Array(parts.elements) == sorted.filter { !$0.isMultiple(of: 2) })
        parts.insert(contentsOf: sorted.filter { $0.isMultiple(of: 2) })
        #expect(Array(parts.elements) == sorted)
    }
}
