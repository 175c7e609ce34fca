/// A first-in-first-out queue whose memory is reused.
struct RingQueue<Element> {
    private var slots: [Element?] = []
    private var head = 0

    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    var first: Element? { isEmpty ? nil : slots[head] }

    /// The element appended last; setting it replaces it.
    var last: Element? {
        get { isEmpty ? nil : slots[(head + count - 1) % slots.count] }
        set {
            guard !isEmpty, let newValue else { return }
            slots[(head + count - 1) % slots.count] = newValue
        }
    }

    mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[(head + count) % slots.count] = element
        count += 1
    }

    @discardableResult
    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = slots[head]
        slots[head] = nil
        head = (head + 1) % slots.count
        count -= 1
        return element
    }

    mutating func removeAll() {
        self = RingQueue()
    }

    /// Removes the elements that match, and returns them; the others keep their order.
    mutating func removeAll(where isRemoved: (Element) -> Bool) -> [Element] {
        var kept = RingQueue()
        var removed: [Element] = []
        while let element = popFirst() {
            if isRemoved(element) { removed.append(element) } else { kept.append(element) }
        }
        self = kept
        return removed
    }

    private mutating func grow() {
        var larger: [Element?] = []
        larger.reserveCapacity(max(8, slots.count * 2))
        larger.append(contentsOf: slots[head...])
        larger.append(contentsOf: slots[..<head])
        larger.append(contentsOf: repeatElement(nil, count: max(8, slots.count * 2) - larger.count))
        slots = larger
        head = 0
    }
}

extension RingQueue: Sendable where Element: Sendable {}
