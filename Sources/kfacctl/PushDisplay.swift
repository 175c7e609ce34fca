import Console
import Synchronization

/// Shows how much of a file has arrived.
final class PushDisplay: Sendable {
    private let name: String
    private let byteCount: UInt64
    private let isQuiet: Bool
    private let output = Mutex(ProgressOutput())

    init(name: String, byteCount: UInt64, isQuiet: Bool) {
        self.name = name
        self.byteCount = byteCount
        self.isQuiet = isQuiet
    }

    func show(_ arrived: UInt64) {
        guard !isQuiet else { return }
        let share = Double(arrived) / Double(max(byteCount, 1))
        let line = ProgressLine(
            name: name, share: share,
            figures: [
                "\(Int((share * 100).rounded(.down))) %", "\(Quantity.bytes(arrived)) of \(Quantity.bytes(byteCount))",
            ],
            activity: "")
        output.withLock { $0.show(line) }
    }
}
