/// The bytes of a tensor that are claimed, as sorted ranges that do not touch.
///
/// Writes mostly go from start to end, so there are few ranges. The last one is tried first.
struct ByteCoverage {
    private var ranges: [Range<Int>] = []

    /// Adds a range.
    ///
    /// Returns false, and changes nothing, if a byte of it is already claimed.
    mutating func claim(_ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return true }
        let next = firstIndex(startingAtOrAfter: range.lowerBound)
        if next < ranges.count, ranges[next].lowerBound < range.upperBound { return false }
        if next > 0, ranges[next - 1].upperBound > range.lowerBound { return false }
        let joinsPrevious = next > 0 && ranges[next - 1].upperBound == range.lowerBound
        let joinsNext = next < ranges.count && ranges[next].lowerBound == range.upperBound
        switch (joinsPrevious, joinsNext) {
        case (true, true):
            ranges[next - 1] = ranges[next - 1].lowerBound..<ranges[next].upperBound
            ranges.remove(at: next)
        case (true, false): ranges[next - 1] = ranges[next - 1].lowerBound..<range.upperBound
        case (false, true): ranges[next] = range.lowerBound..<ranges[next].upperBound
        case (false, false): ranges.insert(range, at: next)
        }
        return true
    }

    /// Withdraws a claim whose bytes were not written.
    mutating func release(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        guard let index = ranges.firstIndex(where: { $0.contains(range.lowerBound) }) else { return }
        let whole = ranges[index]
        let rest = [whole.lowerBound..<range.lowerBound, range.upperBound..<whole.upperBound]
        ranges.replaceSubrange(index...index, with: rest.filter { !$0.isEmpty })
    }

    private func firstIndex(startingAtOrAfter offset: Int) -> Int {
        if let last = ranges.last, last.lowerBound < offset { return ranges.count }
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].lowerBound < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
