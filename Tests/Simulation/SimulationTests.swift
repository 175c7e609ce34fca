import Foundation
import TestSupport
import Testing

/// Random clusters: `SEED=… swift test --filter SimulationTests` replays one exactly, `SEEDS=…` runs more.
@Suite struct SimulationTests {
    private static let seedCount = ProcessInfo.processInfo.environment["SEEDS"].flatMap(UInt64.init) ?? 1000
    /// A seed to be replayed alone.
    private static let onlySeed = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init)
    /// Seeds are run in a few parts, so that every core has one.
    private static let partCount: UInt64 = 8

    @Test(arguments: 0..<partCount)
    func `whatever happens, every job comes to its exact result or its exact error`(part: UInt64) async throws {
        let seeds = Self.onlySeed.map { part == 0 ? [$0] : [] } ?? Array(stride(from: part, to: Self.seedCount, by: 8))
        var failures = 0
        for seed in seeds {
            var simulation = Simulation(seed: seed, keepsLog: Self.onlySeed != nil)
            try await simulation.run()
            if Self.onlySeed != nil { print(simulation.log.lines.joined(separator: "\n")) }
            guard let violation = simulation.referee.violations.first else { continue }
            failures += 1
            Issue.record("SEED=\(seed) swift test --filter SimulationTests: \(violation)")
            // A few are enough to see why.
            if failures == 3 { return }
        }
    }
}
