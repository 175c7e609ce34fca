/// Different values in order, in parts, so that a change among a million moves only a few hundred.
struct SortedParts<Element: Comparable & Sendable>: Sendable {
    /// The most values of a part; one change moves at most so many.
    private static var partMax: Int { 512 }
    /// The values in order, in non-empty parts.
    private var parts: [[Element]] = []

    /// The values in order.
    var elements: FlattenSequence<[[Element]]> { parts.joined() }
    var isEmpty: Bool { parts.isEmpty }
    var count: Int { parts.reduce(0) { $0 + $1.count } }
    var first: Element? { parts.first?.first }
    var last: Element? { parts.last?.last }

    /// The values in order, from the first one that does not stand before another.
    func elements(from element: Element?) -> Walk {
        guard let element else { return Walk(parts: parts, part: 0, place: 0) }
        let part = Self.position(in: parts) { $0[$0.count - 1] < element }
        let place = part < parts.count ? Self.position(in: parts[part]) { $0 < element } : 0
        return Walk(parts: parts, part: part, place: place)
    }

    /// A walk over values in order.
    struct Walk: Sequence, IteratorProtocol {
        fileprivate let parts: [[Element]]
        fileprivate var part: Int
        fileprivate var place: Int

        mutating func next() -> Element? {
            guard part < parts.count else { return nil }
            let element = parts[part][place]
            place += 1
            if place == parts[part].count { (part, place) = (part + 1, 0) }
            return element
        }
    }

    /// Inserts a value at its place; does nothing when it is there.
    ///
    /// - Returns: Whether it was not there.
    @discardableResult
    mutating func insert(_ element: Element) -> Bool {
        guard !parts.isEmpty else {
            parts = [[element]]
            return true
        }
        let part = min(Self.position(in: parts) { $0[$0.count - 1] < element }, parts.count - 1)
        let place = Self.position(in: parts[part]) { $0 < element }
        guard place == parts[part].count || parts[part][place] != element else { return false }
        parts[part].insert(element, at: place)
        guard parts[part].count > Self.partMax else { return true }
        let rest = Array(parts[part].suffix(Self.partMax / 2))
        parts[part].removeLast(rest.count)
        parts.insert(rest, at: part + 1)
        return true
    }

    /// Inserts many values at their places; none of them may be there.
    mutating func insert(contentsOf new: [Element]) {
        divide((Array(elements) + new).sorted())
    }

    /// Removes a value; does nothing when it is not there.
    ///
    /// - Returns: Whether it was there.
    @discardableResult
    mutating func remove(_ element: Element) -> Bool {
        let part = Self.position(in: parts) { $0[$0.count - 1] < element }
        guard part < parts.count else { return false }
        let place = Self.position(in: parts[part]) { $0 < element }
        guard place < parts[part].count, parts[part][place] == element else { return false }
        parts[part].remove(at: place)
        if parts[part].isEmpty { parts.remove(at: part) }
        return true
    }

    /// Removes all values that satisfy a condition.
    mutating func removeAll(where shouldBeRemoved: (Element) -> Bool) {
        divide(elements.filter { !shouldBeRemoved($0) })
    }

    /// Whether a value is there.
    func contains(_ element: Element) -> Bool {
        var walk = elements(from: element)
        return walk.next() == element
    }

    /// The first value that stands after another, which need not be there.
    func first(after element: Element) -> Element? {
        let part = Self.position(in: parts) { !(element < $0[$0.count - 1]) }
        guard part < parts.count else { return nil }
        let place = Self.position(in: parts[part]) { !(element < $0) }
        return place < parts[part].count ? parts[part][place] : nil
    }

    private mutating func divide(_ elements: [Element]) {
        parts = stride(from: 0, to: elements.count, by: Self.partMax / 2).map {
            Array(elements[$0..<min($0 + Self.partMax / 2, elements.count)])
        }
    }

    /// The first position in sorted items that does not stand before the searched item, by bisection.
    private static func position<Item>(in items: [Item], _ standsBefore: (Item) -> Bool) -> Int {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if standsBefore(items[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
