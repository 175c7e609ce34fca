import Foundation
import UnixSignals

/// The first signal takes a daemon out of service in good order; whoever sends a second one does not want to wait.
enum SecondSignal {
    /// Ends the process at the second SIGTERM or SIGINT.
    static func watch() {
        // Task because the signals are nobody's child: the process ends with them.
        Task {
            var count = 0
            for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
                count += 1
                if count == 2 { exit(130) }
            }
        }
    }
}
