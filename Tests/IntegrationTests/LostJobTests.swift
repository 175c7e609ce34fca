import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Jobs that are lost with the coordinator's journal.
    @Suite struct LostJobTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        /// The ways to lose a journal.
        enum Loss: CaseIterable {
            case end, all, damage

            func inflict(on journal: String) throws {
                let files = FileManager.default
                switch self {
                case .end: try files.removeItem(atPath: "\(journal)-wal")
                case .all: for end in ["", "-wal", "-shm"] { try? files.removeItem(atPath: journal + end) }
                case .damage:
                    try? files.removeItem(atPath: "\(journal)-wal")
                    try Data(repeating: 0x55, count: 8192).write(to: URL(fileURLWithPath: journal))
                }
            }
        }

        private var claim: String { "\(model.outputPath)/.kfacd-claim" }

        @Test(arguments: Loss.allCases)
        func `the output of a job that is lost with its journal is free for another`(loss: Loss) async throws {
            try await Cluster.with { cluster in
                let job = try await cluster.submit(model.jobPath)
                #expect(FileManager.default.fileExists(atPath: claim))
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                try loss.inflict(on: cluster.directory.appending("state/journal.sqlite"))
                try await cluster.restartCoordinator()
                let log = cluster.coordinator.errors
                #expect(log.contains("\(job) (") && log.contains("Submit it again."), "\(log)")
                #expect(!FileManager.default.fileExists(atPath: claim))
                #expect(OutputTree.staging(of: job, in: model.outputPath) == nil)
                // A coordinator of its own, which knows nothing of the lost job.
                try await model.run()
            }
        }
    }
}
