import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// Workers write their outputs into the job's staged files, where they see them.
    @Suite(.referenceRun, .timeLimit(.minutes(10))) struct PlacedOutputTests {
        private let reference: ReferenceRun
        private let outputs: TemporaryDirectory
        private let output: String
        private let job: String

        init() throws {
            reference = try #require(ReferenceRun.current)
            outputs = try TemporaryDirectory()
            output = outputs.appending("out")
            job = try reference.model.writeJob(output: output)
        }

        /// The files of the job into which workers write.
        private func stagedFiles(of job: String) -> [String] {
            guard let staging = OutputTree.staging(of: job, in: output) else { return [] }
            return OutputTree.paths(below: staging).filter { $0.hasSuffix(".staged") }.map { "\(staging)/\($0)" }
        }

        /// The files with blobs that the coordinator's store holds.
        private func storedBlobs(_ cluster: Cluster) -> [String] {
            OutputTree.paths(below: cluster.directory.appending("state/blobs"))
                .filter { path in ["durable/", "pending/", "small/"].contains { path.hasPrefix($0) } }
        }

        /// Whether a file holds another byte than zero after its header.
        private func holdsNumbers(_ file: String) throws -> Bool {
            let data = try Data(contentsOf: URL(fileURLWithPath: file))
            let header = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            return data.dropFirst(8 + header).contains { $0 != 0 }
        }

        @Test func `a worker that sees the staging directory writes there, and sends nothing`() async throws {
            let job = try reference.model.writeCurvatureJob(
                tasks: 2, outputs: ["factors"], output: output)
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 4)
                #expect(try stagedFiles(of: job).contains(where: holdsNumbers))
                #expect(storedBlobs(cluster).isEmpty)
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
                #expect(OutputTree.paths(below: output).filter { $0.hasSuffix(".safetensors") }.count == 2)
                #expect(stagedFiles(of: job).isEmpty)
            }
        }

        /// A coordinator that lasts, and one whose results end with its job, as that of `kfacctl run`.
        @Test(arguments: [true, false])
        func `workers that see the staging directory and others make the same files`(isLasting: Bool) async throws {
            try await Cluster.with(isLasting: isLasting) { cluster in
                // Each sees the inputs; the second one may not touch the output.
                try cluster.startWorker("near")
                try cluster.startWorker("far", options: ["--root", reference.model.directory.path])
                try await cluster.waitForSuccess(try await cluster.submit(job))
            }
            try requireSameBytes(output, reference.outputPath)
        }

        /// Runs the job on one worker, which is held after some units while its staged files are disturbed.
        private func run(
            holdingAfter units: Int, isLasting: Bool = false,
            _ disturb: (Cluster, _ files: () -> [String]) async throws -> Void
        ) async throws {
            try await Cluster.with(startingOver: output, isLasting: isLasting) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: units)
                try await disturb(cluster) { stagedFiles(of: job) }
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, reference.outputPath)
        }

        @Test func `a staging directory that goes away makes workers send their blobs`() async throws {
            try await run(holdingAfter: 6) { cluster, files in
                for file in files() { try FileManager.default.removeItem(atPath: file) }
                cluster.resumeWorkers()
            }
        }

        @Test(arguments: DamagedStoreTests.Damage.allCases)
        func `outputs in place that are damaged while the coordinator is down are written again`(
            damage: DamagedStoreTests.Damage
        ) async throws {
            try await run(holdingAfter: 12) { cluster, files in
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                let files = files()
                try #require(!files.isEmpty)
                for file in files { try damage.inflict(on: file) }
                cluster.resumeWorkers()
                try await cluster.restartCoordinator()
            }
        }

        @Test(arguments: [DamagedStoreTests.Damage.flipped, .cut], [true, false])
        func `outputs in place that are damaged under a coordinator that runs are written again`(
            damage: DamagedStoreTests.Damage, isLasting: Bool
        ) async throws {
            try await run(holdingAfter: 12, isLasting: isLasting) { cluster, files in
                for file in files() { try damage.inflict(on: file) }
                cluster.resumeWorkers()
            }
        }

        @Test func `a worker that is killed again and again while it writes in place costs no byte`() async throws {
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let job = try await cluster.submit(job)
                for number in 0..<6 {
                    let worker = try cluster.startWorker("worker-\(number)")
                    try await Task.sleep(for: .milliseconds(300 + 137 * number))
                    worker.send(SIGKILL)
                    _ = try await worker.exitCode()
                }
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, reference.outputPath)
        }
    }
}
