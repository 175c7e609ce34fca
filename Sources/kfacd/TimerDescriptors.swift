import Foundation

/// The descriptors behind the timers of the runtime, one for each clock.
///
/// The runtime makes them when a clock is first waited for, and ends the process by a signal if it cannot. But a daemon
/// that is short of descriptors must live on. So they are taken at the start, and stay.
enum TimerDescriptors {
    /// Waits a moment by each clock.
    static func take() async {
        try? await Task.sleep(for: .milliseconds(1), clock: .continuous)
        try? await Task.sleep(for: .milliseconds(1), clock: .suspending)
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(wallDeadline: .now() + .milliseconds(1)) { continuation.resume() }
        }
    }
}
