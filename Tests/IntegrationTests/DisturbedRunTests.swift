import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// DESIGN section 6, guarantees 1 to 3: whatever happens to processes, the files have the same bytes.
    @Suite(.referenceRun, .timeLimit(.minutes(10))) struct DisturbedRunTests {
        private let reference: ReferenceRun
        private let output: String
        private let job: String

        init() throws {
            reference = try #require(ReferenceRun.current)
            output = reference.model.directory.appending("out-\(UUID().uuidString)")
            job = try reference.model.writeJob(output: output)
        }

        private func requireReferenceBytes() throws {
            try requireSameBytes(output, reference.outputPath)
            // The output is large.
            try FileManager.default.removeItem(atPath: output)
        }

        @Test(arguments: [2, 3])
        func `several workers write the bytes of one`(workers: Int) async throws {
            try await Client.runJob(job, workers: workers, in: reference.model.directory)
            try requireReferenceBytes()
        }

        @Test func `a worker that is killed in the middle changes no byte`() async throws {
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let doomed = try cluster.startWorker("doomed")
                let job = try await cluster.submit(job)
                let status = try await cluster.holdWorkers(job, units: 12)
                doomed.send(SIGKILL)
                #expect(try await doomed.exitCode() == 128 + SIGKILL)
                try #require(status.finishedUnits < status.totalUnits)
                let running = try await cluster.status(job)
                try #require(running.state == "running")
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
                #expect(cluster.coordinator.errors.contains("worker lost"))
            }
            try requireReferenceBytes()
        }

        @Test func `one of two workers is killed and the other goes on`() async throws {
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let doomed = try cluster.startWorker("doomed")
                try cluster.startWorker("survivor")
                try await cluster.waitForWorkers(2)
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 8)
                doomed.send(SIGKILL)
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test func `a coordinator that is killed and restarted goes on where it stopped`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                let worker = try cluster.startWorker("faithful")
                let job = try await cluster.submit(job)
                let before = try await cluster.holdWorkers(job, units: 12)
                // The job cannot end before the coordinator is killed, and the worker talks to it meanwhile.
                try await cluster.coordinator.stop()
                cluster.resumeWorkers()
                try await cluster.restartCoordinator()
                let resumed = try Self.resumedUnits(cluster.coordinator.errors)
                try #require(resumed >= before.finishedUnits)
                try #require(resumed < before.totalUnits)
                try await cluster.waitForSuccess(job)
                #expect(worker.isRunning)
                #expect(worker.errors.contains("greeting it again"))
                // A worker's count starts at its greeting, so units that were finished before are not counted.
                let computed = try await cluster.workerStatuses().map(\.finishedUnits).reduce(0, +)
                #expect(computed > 0)
                #expect(computed <= before.totalUnits - resumed)
                try expectExecutors(of: before.totalUnits)
            }
            try requireReferenceBytes()
        }

        @Test func `a coordinator that is killed while no worker is there finishes with a new one`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                let doomed = try cluster.startWorker("doomed")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 12)
                doomed.send(SIGKILL)
                _ = try await doomed.exitCode()
                try await cluster.restartCoordinator()
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test func `a coordinator that is killed while it writes files leaves no half of one`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("faithful")
                let job = try await cluster.submit(job)
                try await haltCoordinator(cluster, job, "a file that is being written") {
                    OutputTree.paths(below: output).contains {
                        $0.contains(".safetensors.") && $0.hasSuffix(".partial")
                    }
                }
                try await cluster.restartCoordinator()
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        /// The job's files that are written and not published yet; none once their publication has begun.
        private var stagedFiles: [String] {
            let files = OutputTree.staging(of: "job-1", in: output).map(OutputTree.paths) ?? []
            return files.contains(".publication.json") ? [] : files.filter { $0.hasSuffix(".safetensors") }
        }

        @Test func `files that vanished are written again, whatever happens meanwhile`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("faithful")
                let job = try await cluster.submit(job)
                try await haltCoordinator(cluster, job, "five staged files") { stagedFiles.count >= 5 }
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                try FileManager.default.removeItem(
                    atPath: try #require(OutputTree.staging(of: "job-1", in: output)))
                try await cluster.restartCoordinator()
                // The coordinator is halted again while only some files exist. The journal still says that the others
                // were written.
                try await haltCoordinator(cluster, job, "a staged file") { !stagedFiles.isEmpty }
                try await cluster.restartCoordinator()
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test func `daemons that are told to stop end at once, and the job goes on after them`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                let leaver = try cluster.startWorker("leaver")
                let job = try await cluster.submit(job)
                let before = try await cluster.holdWorkers(job, units: 8)
                leaver.send(SIGTERM)
                cluster.resumeWorkers()
                #expect(try await leaver.exitCode() == 0, "\(leaver.logTail)")
                #expect(!cluster.coordinator.errors.contains("worker lost"))
                cluster.coordinator.send(SIGTERM)
                #expect(try await cluster.coordinator.exitCode() == 0)
                try await cluster.restartCoordinator()
                #expect(try Self.resumedUnits(cluster.coordinator.errors) >= before.finishedUnits)
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test func `a worker that joins late gets work`() async throws {
            // The early worker is never lost, although it is stopped.
            try await Cluster.with(workerTimeout: .seconds(600), startingOver: output) { cluster in
                try cluster.startWorker("early")
                let job = try await cluster.submit(job)
                // The job cannot end without the stopped worker's units, so the late worker has time to start.
                try await cluster.holdWorkers(job, units: 4)
                try cluster.startWorker("late")
                try await eventually("a unit of the late worker") {
                    try await cluster.workerStatuses().contains { $0.name.hasPrefix("late-") && $0.finishedUnits > 0 }
                }
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        @Test func `a worker that was stopped past its timeout and goes on changes no byte`() async throws {
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let sleeper = try cluster.startWorker("sleeper")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 8)
                try await eventually("the loss of the stopped worker") {
                    cluster.coordinator.errors.contains("worker lost")
                }
                #expect(try await cluster.status(job).state == "running")
                try cluster.startWorker("other")
                try await cluster.waitForWorkers(1)
                sleeper.resume()
                try await cluster.waitForSuccess(job)
                try await cluster.waitForWorkers(2)
                #expect(sleeper.isRunning)
            }
            try requireReferenceBytes()
        }

        @Test(.enabled(if: Blindness.isPossible, Blindness.reason))
        func `a worker that cannot see the input files gets them over the wire`() async throws {
            let inputs = reference.model.directory.appending("inputs")
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: inputs)
            try await Cluster.with { cluster in
                try cluster.startWorker("blind", launcher: Blindness.launcher)
                let job = try await cluster.submit(job)
                try await cluster.waitForSuccess(job)
            }
            try requireReferenceBytes()
        }

        // MARK: - What lasts a moment

        /// Runs the coordinator in steps of a few milliseconds until a condition holds while it is stopped.
        ///
        /// The coordinator stays stopped, so that the next signal kills it at that moment.
        ///
        /// On a busy machine a step can be longer than the moment.
        ///
        /// - Throws: ``MissedMoment`` when the job ended first, ``WaitError`` when neither happens, or what the
        ///   requirement throws when the job fails.
        private func haltCoordinator(
            _ cluster: Cluster, _ job: String, _ moment: String, when condition: () -> Bool
        ) async throws {
            var isMet = false
            try await eventually(moment, finding: "\(OutputTree.paths(below: output))") {
                try await cluster.coordinator.stop()
                isMet = condition()
                guard !isMet else { return true }
                cluster.coordinator.resume()
                return FileManager.default.fileExists(atPath: "\(output)/report.json")
            }
            guard !isMet else { return }
            try await cluster.waitForSuccess(job)
            throw MissedMoment(description: "\(job) was over before the coordinator was stopped at \(moment)")
        }

        // MARK: - What was computed by whom

        /// The number of units that were finished when the coordinator resumed the job, by its log.
        private static func resumedUnits(_ log: String) throws -> Int {
            let line = try #require(log.split(separator: "\n").first { $0.contains("job resumed") }, "\(log)")
            let field = try #require(line.split(separator: " ").first { $0.hasPrefix("finished_units=") })
            return try #require(Int(field.dropFirst("finished_units=".count)))
        }

        /// Expects one executor for every unit in the report, except the report itself and what follows it.
        private func expectExecutors(of totalUnits: Int) throws {
            let report = try Report.read(in: output)
            let run = try #require(report["run"] as? [String: Any])
            let executors = try #require(run["units_by_executor"] as? [String: Int])
            #expect(executors.values.reduce(0, +) == totalUnits - 2)
        }
    }
}
