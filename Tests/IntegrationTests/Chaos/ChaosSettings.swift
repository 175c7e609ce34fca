import Foundation

/// The rounds and the seed of the chaos tests.
enum ChaosSettings {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap(UInt64.init)
    }

    /// The first seed: `CHAOS_SEED`, or a new one each time.
    ///
    /// Each round uses the next seed.
    static let seed = number("CHAOS_SEED") ?? UInt64.random(in: 0..<1_000_000)

    /// The rounds of each test: `CHAOS_ROUNDS`, or one.
    static let rounds = number("CHAOS_ROUNDS") ?? 1

    /// The directory for the logs of every round: `CHAOS_LOGS`, or none.
    static let logDirectory = ProcessInfo.processInfo.environment["CHAOS_LOGS"]
}
