/// What is to happen, by virtual time; what stands for the same instant happens in the order of its scheduling.
struct EventQueue<Action> {
    private var heap: [(time: Int, number: Int, action: Action)] = []
    private var scheduled = 0

    var isEmpty: Bool { heap.isEmpty }

    /// Lets something happen at an instant, in milliseconds.
    mutating func schedule(_ action: Action, at time: Int) {
        heap.append((time, scheduled, action))
        scheduled += 1
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes out what comes next.
    mutating func next() -> (time: Int, action: Action)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return (first.time, first.action)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
    }
}
