import Foundation

/// How long and with which seed the chaos tests run.
enum ChaosSettings {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap(UInt64.init)
    }

    /// The first seed, of `CHAOS_SEED` or another one each time.
    ///
    /// Each round has the next one.
    static let seed = number("CHAOS_SEED") ?? UInt64.random(in: 0..<1_000_000)

    /// Rounds of each test: `CHAOS_ROUNDS`, or one.
    static let rounds = number("CHAOS_ROUNDS") ?? 1

    /// Where the logs of every round are kept: `CHAOS_LOGS`, or nowhere.
    static let logDirectory = ProcessInfo.processInfo.environment["CHAOS_LOGS"]
}
