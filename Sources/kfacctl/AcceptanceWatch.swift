import Console
import Synchronization
import WireProtocol

/// Measures how long a checked job has waited to be recorded, because the coordinator's disk has no room.
final class AcceptanceWatch: Sendable {
    private let patience: Duration
    private let obstacle = Mutex<(reason: String, since: ContinuousClock.Instant)?>(nil)

    init(patience: Duration) { self.patience = patience }

    /// Notes what the coordinator tells about the job; another reason is no progress.
    func note(_ text: String) {
        obstacle.withLock { obstacle in
            obstacle = AdmissionNotes.obstacle(in: text).map { ($0, obstacle?.since ?? .now) }
        }
    }

    /// Waits until the job has waited for too long.
    ///
    /// - Throws: ``CommandFailure`` then; `CancellationError`.
    func waitForFailure() async throws -> Never {
        while true {
            try await Task.sleep(for: .milliseconds(100))
            guard let (reason, since) = obstacle.withLock({ $0 }), since.duration(to: .now) >= patience else {
                continue
            }
            throw CommandFailure(
                .failed,
                "the job was not recorded for \(patience.components.seconds) s: \(reason) Make room there and submit it "
                    + "again, or let it wait longer with --patience SECONDS.")
        }
    }
}
