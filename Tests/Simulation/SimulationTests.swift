import Foundation
import JobPlan
import Scheduling
import TestSupport
import Testing
import UnitOperations

/// Random clusters: `SEED=… swift test --filter SimulationTests` replays one exactly, `SEEDS=…` runs more.
@Suite struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seedCount = environment["SEEDS"].flatMap(UInt64.init) ?? 1000
    /// The seed to begin with.
    private static let firstSeed = environment["FIRST_SEED"].flatMap(UInt64.init) ?? 0
    /// A seed to be replayed alone, with all that happens written out.
    private static let onlySeed = environment["SEED"].flatMap(UInt64.init)
    /// Failing seeds after which a part gives up; a few are enough to see why.
    private static let failuresMax = environment["FAILURES"].flatMap(Int.init) ?? 3
    /// Seeds are run in parts, so that every core has one.
    private static let partCount: UInt64 = 8

    @Test(arguments: 0..<partCount)
    func `whatever happens, every job comes to its exact result or its exact error`(part: UInt64) async throws {
        guard Self.onlySeed == nil else { return }
        let (first, end) = (Self.firstSeed, Self.firstSeed + Self.seedCount)
        var failures = 0
        var outcomes: Set<String> = []
        for seed in stride(from: first + part, to: end, by: Int(Self.partCount)) where failures < Self.failuresMax {
            let simulation = try await Self.run(seed)
            outcomes.formUnion(simulation.referee.outcomes.values.map(\.word))
            guard let violation = simulation.referee.violations.first else { continue }
            failures += 1
            Issue.record("SEED=\(seed) swift test --filter SimulationTests: \(violation)")
        }
        // Runs that all end alike would have tested little.
        let isTelling = Self.seedCount >= 1000 && failures == 0
        #expect(!isTelling || outcomes == ["succeeded", "failed", "cancelled"], "\(outcomes)")
    }

    @Test(.enabled(if: onlySeed != nil, "SEED=… says which seed to replay"))
    func `a seed is replayed`() async throws {
        let seed = try #require(Self.onlySeed)
        let simulation = try await Self.run(seed, keepsLog: true)
        print(simulation.log.lines.joined(separator: "\n"))
        print("SEED=\(seed): \(simulation.stepCount) steps, log \(simulation.log.fingerprint)")
        for violation in simulation.referee.violations { Issue.record("SEED=\(seed): \(violation)") }
    }

    /// In one process two dictionaries of equal contents already differ in their order; for two processes see
    /// README.md.
    @Test func `a seed gives the same events and the same answers each time`() async throws {
        for seed in Self.firstSeed..<Self.firstSeed + 3 where Self.onlySeed == nil {
            let first = try await Self.run(seed, keepsLog: true).log
            let second = try await Self.run(seed, keepsLog: true).log
            #expect(first.lines.count > 10)
            #expect(first.fingerprint == second.fingerprint, "SEED=\(seed)")
            if Self.environment["LOGS"] != nil { print("SEED=\(seed): log \(first.fingerprint)") }
        }
    }

    /// Every run encodes and decodes its records; every thirty-second one does so through the journal itself, in a
    /// file.
    private static func run(_ seed: UInt64, keepsLog: Bool = false) async throws -> Simulation {
        guard seed % 32 == 0 else {
            var simulation = Simulation(seed: seed, journal: RowJournal(), keepsLog: keepsLog)
            try await simulation.run()
            return simulation
        }
        let directory = try TemporaryDirectory()
        defer { withExtendedLifetime(directory) {} }
        let journal = try FileJournal(path: "\(directory.path)/journal.sqlite")
        var simulation = Simulation(seed: seed, journal: journal, keepsLog: keepsLog)
        try await simulation.run()
        return simulation
    }
}

extension JobOutcome {
    fileprivate var word: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }
}

extension EventLog {
    /// Stands for everything that happened.
    fileprivate var fingerprint: String {
        String(lines.reduce(0) { $0 &* 31 &+ Fingerprint.of($1) }, radix: 16)
    }
}
