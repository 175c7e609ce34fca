import Synchronization
import WireProtocol

/// A worker's words about units and blobs that wait to be sent together, in their order.
///
/// Bound: ``countMax`` words, then a lane waits until they are sent; and one more of each lane that did not wait yet.
final class WaitingReports: Sendable {
    /// How many words may wait.
    static let countMax = 64
    /// How long words wait for others.
    static let delay: Duration = .milliseconds(2)

    /// Yields an element when a word waits after none did.
    let arrivals: AsyncStream<Void>
    private let arrivalSink: AsyncStream<Void>.Continuation
    private let words = Mutex<[WorkerMessage]>([])

    init() {
        (arrivals, arrivalSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Adds a word behind the others; the end of a unit makes the report of its start needless.
    ///
    /// - Returns: Whether no more words may wait.
    func add(_ word: WorkerMessage) -> Bool {
        let count = words.withLock { words in
            if case .finished(let unit, _, _, _) = word, let start = words.lastIndex(of: .started(unit)) {
                words.remove(at: start)
            }
            words.append(word)
            return words.count
        }
        if count == 1 { arrivalSink.yield() }
        return count >= Self.countMax
    }

    /// Removes the words that go into one message.
    func take() -> [WorkerMessage] {
        words.withLock { words in
            let taken = Array(words.prefix(WireLimits.sequenceMax))
            words.removeFirst(taken.count)
            return taken
        }
    }

    var isEmpty: Bool { words.withLock(\.isEmpty) }
}
