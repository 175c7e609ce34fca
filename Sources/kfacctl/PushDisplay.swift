import Console
import Synchronization

/// Shows how much of a push has arrived, and how fast.
final class PushDisplay: Sendable {
    private let name: String
    private let byteCount: UInt64
    private let isQuiet: Bool
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    private struct State {
        var output = ProgressOutput()
        /// The bytes that were there at the start.
        var first: UInt64?
    }

    init(name: String, byteCount: UInt64, isQuiet: Bool) {
        self.name = name
        self.byteCount = byteCount
        self.isQuiet = isQuiet
    }

    func show(_ arrived: UInt64) {
        guard !isQuiet else { return }
        let share = Double(arrived) / Double(max(byteCount, 1))
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        state.withLock { state in
            let first = state.first ?? arrived
            state.first = first
            let line = ProgressLine(
                name: name, share: share,
                figures: [
                    "\(Int((share * 100).rounded(.down))) %",
                    "\(Quantity.bytes(arrived)) of \(Quantity.bytes(byteCount))",
                    Quantity.rate(arrived - min(first, arrived), within: elapsed),
                ],
                activity: "")
            state.output.show(line)
        }
    }
}
