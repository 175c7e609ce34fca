import Foundation
import Identifiers
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

extension SerialDisturbanceTests {
    /// A worker reports on units that other workers were given, over a real socket, while they compute a job.
    @Suite(.timeLimit(.minutes(10))) struct ForgedWorkerTests {
        private let model: LargeModel
        private let output: String
        private let job: String

        init() throws {
            model = try LargeModel()
            output = model.directory.appending("out")
            job = try model.writeJob(output: output)
        }

        /// Greets as a worker, sends messages about units one after the other, and waits for its dismissal.
        private func forge(
            _ cluster: Cluster, memory: UInt64 = 1, _ message: (UnitIndex) -> WorkerMessage
        ) async throws -> String {
            let channel = try await MessageChannel.connect(try Endpoint(cluster.endpoint), context: try Context())
            let hello = WorkerHello(
                worker: "forger-1-a", host: "host", lanes: 1, memoryBytes: memory,
                regime: NumericRegime(kernels: "kernels", elements: "fp32"), build: "test")
            try await channel.send(Message([Frame(try WireMessage.worker(.hello(hello)).encoded())]))
            for number in 0..<3 {
                let word = WireMessage.worker(message(UnitIndex(number)))
                try await channel.send(Message([Frame(try word.encoded())]))
            }
            while true {
                let answer = try await channel.receive()
                if case .refusal(let refusal) = try WireMessage(decoding: answer.frames[0].copyBytes()) {
                    await channel.close(flushingFor: .zero)
                    return refusal.message
                }
            }
        }

        /// Joins 256 words in one message, which a worker may send before or after its greeting.
        ///
        /// - Returns: How many times it was told to greet, and how many times it was dismissed.
        private func join(
            _ cluster: Cluster, isGreetingFirst: Bool, _ word: WorkerMessage
        ) async throws -> (unknown: Int, refused: Int) {
            let channel = try await MessageChannel.connect(try Endpoint(cluster.endpoint), context: try Context())
            let hello = WorkerHello(
                worker: isGreetingFirst ? "joiner-1-a" : "joiner-2-b", host: "host", lanes: 1, memoryBytes: 1,
                regime: NumericRegime(kernels: "kernels", elements: "fp32"), build: "test")
            let messages = [WireMessage.worker(.hello(hello)), .workerSequence(Array(repeating: word, count: 256))]
            for message in isGreetingFirst ? messages : messages.reversed() {
                try await channel.send(Message([Frame(try message.encoded())]))
            }
            var (unknown, refused) = (0, 0)
            while true {
                switch try WireMessage(decoding: try await channel.receive().frames[0].copyBytes()) {
                case .coordinator(.unknownWorker): unknown += 1
                case .refusal: refused += 1
                default: continue
                }
                // The last answer of each order: the dismissal, or the welcome behind which nothing is said.
                if isGreetingFirst || unknown > 1 { break }
                if case .coordinator(.welcome) = try WireMessage(
                    decoding: try await channel.receive().frames[0].copyBytes())
                {
                    break
                }
                unknown += 1
            }
            await channel.close(flushingFor: .zero)
            return (unknown, refused)
        }

        @Test func `words that are joined have one answer, and end at the third that is refused`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("honest")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 1)
                let name = LeasedUnit(UnitReference(job: JobID(rawValue: job), unit: UnitIndex(0)), Attempt(9))
                let strange = try await join(cluster, isGreetingFirst: false, .started(name))
                #expect(strange == (1, 0))
                let forged = try await join(cluster, isGreetingFirst: true, .started(name))
                #expect(forged == (0, 1))
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
                let ends = cluster.coordinator.errors.components(separatedBy: "a worker's connection was ended")
                #expect(ends.count == 2, "\(cluster.coordinator.logTail)")
            }
        }

        @Test func `changes nothing, is ended at its third word, and the job ends as without it`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("honest")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 4)
                let blob = BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: 3, count: 32)), byteCount: 64)
                let name = { LeasedUnit(UnitReference(job: JobID(rawValue: job), unit: $0), Attempt(1)) }
                let finished = try await forge(cluster) {
                    .finished(
                        name($0), UnitResult(blobs: [blob], measurements: [.trace: [1]]), elapsedSeconds: 1,
                        kernelSeconds: 1)
                }
                #expect(finished.contains("was never given to it"), "\(finished)")
                let failed = try await forge(cluster) {
                    .failed(name($0), UnitFailure(kind: .badInput, message: "forged"))
                }
                #expect(failed.contains("was never given to it"), "\(failed)")
                cluster.resumeWorkers()
                try await cluster.waitForSuccess(job)
                #expect(!cluster.coordinator.errors.contains("differ"), "\(cluster.coordinator.logTail)")
                #expect(cluster.coordinator.errors.contains("a worker's message was refused"))
            }
        }
    }
}
