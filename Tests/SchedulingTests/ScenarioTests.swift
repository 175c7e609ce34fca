import Foundation
import Testing

/// The scheduler's answers to whole scenarios in `Scenarios/*.txt`.
///
/// `REWRITE_SCENARIOS=1 swift test --filter ScenarioTests` records the scheduler's present answers, and fails. Commit a
/// changed file only if you understand the change.
@Suite struct ScenarioTests {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Scenarios")

    private static let names: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test func `every story that must be told is there`() {
        #expect(
            Set(Self.names).isSuperset(of: [
                "coordinator-restart.txt", "happy-path.txt", "late-joiner.txt", "late-result.txt",
                "one-giant-layer.txt",
                "poison-unit-on-the-only-worker.txt", "poison-unit.txt", "unequal-workers.txt", "worker-lost.txt",
                "blob-lost-recomputed.txt", "coordinator-restart-with-blobs-on-workers.txt", "ninth-task.txt",
                "drain.txt", "straggler.txt", "lease-without-progress.txt", "full-disk.txt", "damaged-blob.txt",
            ])
        )
    }

    @Test(arguments: names)
    func `the scheduler answers as the scenario says`(name: String) throws {
        let file = Self.directory.appendingPathComponent(name)
        let text = try String(contentsOf: file, encoding: .utf8)
        var blocks = Scenario.blocks(of: text)
        var scenario = Scenario()
        for position in blocks.indices {
            let found = try blocks[position].commands.flatMap { try scenario.run($0) }
            if ProcessInfo.processInfo.environment["REWRITE_SCENARIOS"] != nil {
                blocks[position].expected = found
            } else {
                let commands = blocks[position].commands.joined(separator: "; ")
                #expect(found == blocks[position].expected, "\(name): \(commands)")
            }
        }
        let written = Scenario.text(of: blocks)
        if ProcessInfo.processInfo.environment["REWRITE_SCENARIOS"] != nil {
            try Data(written.utf8).write(to: file)
            Issue.record("\(name) was recorded anew; look at the difference, then run without REWRITE_SCENARIOS")
        } else {
            #expect(written == text, "\(name) is not laid out as it would be recorded")
        }
    }
}
