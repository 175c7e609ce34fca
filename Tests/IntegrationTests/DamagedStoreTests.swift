import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// Whatever damages the stored bytes, the files have the same bytes, or the job gives the reason.
    @Suite(.referenceRun, .timeLimit(.minutes(10))) struct DamagedStoreTests {
        private let reference: ReferenceRun
        private let output: String
        private let job: String

        init() throws {
            reference = try #require(ReferenceRun.current)
            output = reference.model.directory.appending("out-\(UUID().uuidString)")
            job = try reference.model.writeJob(output: output)
        }

        /// The ways to damage files.
        enum Damage: CaseIterable {
            case flipped, cut, removed, replaced

            func inflict(on file: String) throws {
                let url = URL(fileURLWithPath: file)
                switch self {
                case .flipped:
                    var data = try Data(contentsOf: url)
                    guard !data.isEmpty else { return }
                    data[data.count / 2] ^= 0x10
                    // The bytes change in place, as by a faulty disk.
                    let handle = try FileHandle(forWritingTo: url)
                    defer { try? handle.close() }
                    try handle.write(contentsOf: data)
                case .cut:
                    let handle = try FileHandle(forWritingTo: url)
                    defer { try? handle.close() }
                    try handle.truncate(atOffset: handle.seekToEnd() / 2)
                case .removed: try FileManager.default.removeItem(at: url)
                case .replaced:
                    try FileManager.default.removeItem(at: url)
                    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
                }
            }
        }

        /// Damages every file with blobs below a directory: those of one blob, and segments of small ones.
        ///
        /// - Returns: The number of damaged files.
        private func damageBlobs(_ damage: Damage, below directory: String) throws -> Int {
            let blobs = blobs(below: directory)
            for blob in blobs {
                let file = "\(directory)/\(blob)"
                if blob.hasPrefix("small/"), damage == .flipped {
                    try flipEachRecord(of: file)
                } else {
                    try damage.inflict(on: file)
                }
            }
            return blobs.count
        }

        /// Changes a byte of each 32, so that no record of a segment stays as it is.
        private func flipEachRecord(of segment: String) throws {
            let url = URL(fileURLWithPath: segment)
            var bytes = try [UInt8](Data(contentsOf: url))
            for index in stride(from: 16, to: bytes.count, by: 32) { bytes[index] ^= 0x10 }
            let handle = try FileHandle(forWritingTo: url)
            defer { try? handle.close() }
            try handle.write(contentsOf: Data(bytes))
        }

        private func blobs(below directory: String) -> [String] {
            OutputTree.paths(below: directory).filter { path in
                ["durable/", "pending/", "small/"].contains { path.hasPrefix($0) }
            }
        }

        /// Holds the workers when a dozen units are finished, and later until the coordinator has what the test needs.
        ///
        /// The coordinator takes up results in its own time, so the condition may come true while the workers stand
        /// still, or only after more units.
        private func hold(_ cluster: Cluster, _ job: String, until condition: () -> Bool) async throws {
            var units = 12
            while true {
                units = try await cluster.holdWorkers(job, units: units).finishedUnits + 1
                if condition() { return }
                cluster.resumeWorkers()
            }
        }

        private func requireReferenceBytes() throws {
            try requireSameBytes(output, reference.outputPath)
            try FileManager.default.removeItem(atPath: output)
        }

        @Test(arguments: Damage.allCases)
        func `blobs that are damaged while the coordinator is down are made again`(damage: Damage) async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                let blobs = cluster.directory.appending("state/blobs")
                try await hold(cluster, job) { !self.blobs(below: blobs).isEmpty }
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                let count = try damageBlobs(damage, below: blobs)
                try #require(count > 0)
                cluster.resumeWorkers()
                try await cluster.restartCoordinator()
                try await cluster.waitForSuccess(job)
                #expect(!cluster.coordinator.errors.contains("two results"))
            }
            try requireReferenceBytes()
        }

        @Test(arguments: Damage.allCases)
        func `blobs that are damaged under a coordinator that runs are made again`(damage: Damage) async throws {
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let worker = try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 12)
                _ = try damageBlobs(damage, below: cluster.directory.appending("state/blobs"))
                // No other process holds their blobs.
                worker.send(SIGKILL)
                _ = try await worker.exitCode()
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test(arguments: Damage.allCases)
        func `blobs that are damaged in a worker's cache are made again`(damage: Damage) async throws {
            let cache = try TemporaryDirectory()
            try await Cluster.with(startingOver: output) { cluster in
                let worker = try cluster.startWorker("worker", options: ["--cache-directory", cache.path])
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 12)
                let count = try damageBlobs(damage, below: cache.path)
                try #require(count > 0)
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
                #expect(worker.isRunning)
            }
            try requireReferenceBytes()
        }

        /// The job's files that are written and not published yet; none once their publication has begun.
        private func stagedFiles(of job: String) -> [String] {
            guard let staging = OutputTree.staging(of: job, in: output) else { return [] }
            let paths = OutputTree.paths(below: staging)
            guard !paths.contains(".publication.json") else { return [] }
            return paths.filter { $0.hasSuffix(".safetensors") }.map { "\(staging)/\($0)" }
        }

        @Test(arguments: Damage.allCases)
        func `files that are damaged before they are published are written again`(damage: Damage) async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                try await hold(cluster, job) { !stagedFiles(of: job).isEmpty }
                try await cluster.coordinator.stop()
                let files = stagedFiles(of: job)
                guard !files.isEmpty else {
                    throw MissedMoment(description: "\(job) was published before its files were damaged")
                }
                for file in files { try damage.inflict(on: file) }
                cluster.coordinator.resume()
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
                #expect(cluster.coordinator.errors.contains("staged files are damaged"))
            }
            try requireReferenceBytes()
        }

        @Test func `a journal that lost its end says so and names the job`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 12)
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                let journal = cluster.directory.appending("state/journal.sqlite")
                try FileManager.default.removeItem(atPath: "\(journal)-wal")
                try await cluster.restartCoordinator()
                let log = cluster.coordinator.errors
                #expect(log.contains("its end is lost"), "\(log)")
                #expect(log.contains("\(job) ("), "\(log)")
                #expect(log.contains("Submit it again."), "\(log)")
                #expect(FileManager.default.fileExists(atPath: "\(journal).damaged-1"))
            }
        }
    }
}
