import Synchronization
import ZeroMQ

/// A wait that the test's time limit ended.
struct WaitEnded: Error, CustomStringConvertible {
    let awaited: String
    var description: String { "waited in vain for \(awaited)" }
}

/// Waits for a state that no event announces; the suite's time limit bounds the wait.
func waitUntil(_ awaited: String, _ condition: () -> Bool) async throws {
    while !condition() {
        guard !Task.isCancelled else { throw WaitEnded(awaited: awaited) }
        try? await Task.sleep(for: .milliseconds(1))
    }
}

/// The first matching event from the channel's sequence.
func firstEvent(
    of channel: MessageChannel,
    _ awaited: String,
    where isAwaited: (ChannelEvent) -> Bool
) async throws -> ChannelEvent {
    for await event in channel.events where isAwaited(event) { return event }
    throw WaitEnded(awaited: awaited)
}

/// Bytes that count their releases.
final class CountedBytes: Sendable {
    let bytes: [UInt8]
    private let releases: Counter

    init(byteCount: Int, releases: Counter) {
        bytes = [UInt8](repeating: 7, count: byteCount)
        self.releases = releases
    }

    deinit { releases.add() }

    /// The array's buffer stays unchanged while this object lives.
    var frame: Frame {
        let bytes = bytes
        return Frame(owner: self, bytes: bytes.span.bytes)
    }
}

/// A number that several tasks change.
final class Counter: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .sequentiallyConsistent) }

    func add() { value.add(1, ordering: .sequentiallyConsistent) }

    func raise(to count: Int) { value.max(count, ordering: .sequentiallyConsistent) }
}

/// Sends back every message until the channel ends.
func echo(on router: MessageChannel) async throws {
    for await message in router.messages {
        try await router.send(message)
    }
}

extension Frame {
    /// A frame with a number, and zeros to make it large.
    static func number(_ number: Int, byteCount: Int = 8) -> Frame {
        var bytes = [UInt8](repeating: 0, count: max(byteCount, 8))
        for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
        return Frame(bytes)
    }

    /// The number of a frame made by `number(_:byteCount:)`.
    var number: Int {
        withBytes { bytes in
            (0..<min(8, bytes.byteCount)).reduce(0) { sum, index in
                sum | Int(bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)) << (8 * index)
            }
        }
    }
}
