import BlobStore
import Identifiers
import JobJournal
import JobPlan
import Logging
import PrometheusMetrics
import Publication
import PushedRuns
import Scheduling
import Supervision
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import CoordinatorService
@testable import Messaging

/// How a coordinator handles workers' messages, and which connections it ends.
@Suite(.timeLimit(.minutes(5))) final class WorkerConversationTests: Sendable {
    private let directory: TemporaryDirectory
    private let endpoint: CoordinatorEndpoint
    private let coordinator: Coordinator
    private let context: Context
    private let supervision = DaemonSupervision(families: CoordinatorMetrics.families)
    private let blob = BlobDigest(sha256: [UInt8](repeating: 3, count: 32))

    init() async throws {
        directory = try TemporaryDirectory()
        context = try Context()
        let state = FilePath(directory.path)
        endpoint = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        coordinator = Coordinator(
            configuration: CoordinatorConfiguration(
                endpoint: endpoint.endpoint, stateDirectory: state, heartbeatInterval: .seconds(1),
                workerTimeout: .seconds(10), build: "test"),
            endpoint: endpoint, store: try BlobStore(opening: state.appending("blobs")),
            runs: try RunStore(opening: state.appending("runs"), quota: .share),
            journal: try JobJournal(path: state.appending("journal.sqlite").string),
            owner: ClaimOwner(coordinator: "c", stateDirectory: ""), supervision: supervision,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The greeting of a worker; by default the worker has had a connection before.
    private func hello(_ worker: WorkerID, connection: UInt32 = 1) -> WorkerMessage {
        .hello(
            WorkerHello(
                worker: worker, host: "host", lanes: 1, memoryBytes: 1,
                regime: NumericRegime(kernels: "kernels", elements: "fp32"), build: "test",
                connection: connection))
    }

    private func request(_ transfer: UInt64) -> WorkerMessage {
        .rangeRequest(RangeRequest(transfer: transfer, source: .blob(blob), offset: 0, byteCount: 1, credit: 8))
    }

    /// The transfers that wait until a blob is collected.
    private var waiting: [UInt64] {
        get async { await coordinator.waitingRanges.all.map(\.range.transfer).sorted() }
    }

    @Test func `what a worker does not wait for any more is not sent when it comes`() async throws {
        let peer = try RoutingIdentity("peer")
        await coordinator.receive(hello("w"), payload: nil, from: peer)
        for transfer: UInt64 in 1...3 { await coordinator.receive(request(transfer), payload: nil, from: peer) }
        #expect(await waiting == [1, 2, 3])
        await coordinator.receive(.rangeCredit(transfer: 2, chunks: 0), payload: nil, from: peer)
        #expect(await waiting == [1, 3])
        await coordinator.receive(.rangeCredit(transfer: 1, chunks: 1), payload: nil, from: peer)
        #expect(await waiting == [1, 3])
        await endpoint.close()
    }

    @Test func `a worker that comes back on another connection leaves nothing waiting on the old one`() async throws {
        let (old, new) = (try RoutingIdentity("old"), try RoutingIdentity("new"))
        await coordinator.receive(hello("w"), payload: nil, from: old)
        await coordinator.receive(request(1), payload: nil, from: old)
        await coordinator.receive(hello("w"), payload: nil, from: new)
        #expect(await waiting == [])
        #expect(await coordinator.conversations["w"]?.peer == new)
        for await entry in coordinator.transfers.entries {
            guard case .peerGone = entry.request else { continue }
            #expect(entry.peer == old)
            break
        }
        await endpoint.close()
    }

    @Test func `a connection that greets under a second name is ended`() async throws {
        let (channel, peer) = try await worker()
        await coordinator.receive(hello("one"), payload: nil, from: peer)
        await coordinator.receive(hello("other"), payload: nil, from: peer)
        #expect(await coordinator.conversations.workers.keys.sorted { $0.rawValue < $1.rawValue } == ["one"])
        #expect(
            try await refusal(of: channel)
                == "it greeted as one, and then as other; a connection has one name")
        await channel.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `so many blobs of a worker are remembered, also when it greets again`() async throws {
        let peer = try RoutingIdentity("peer")
        let blobs = [BlobReference](
            repeating: BlobReference(digest: blob, byteCount: 1), count: WireLimits.blobsPerMessage)
        await coordinator.receive(hello("w"), payload: nil, from: peer)
        for _ in 0..<52 { await coordinator.receive(.held(blobs), payload: nil, from: peer) }
        #expect(await coordinator.conversations["w"]?.toldBlobs == 520_000)
        await coordinator.receive(.dropped([blob]), payload: nil, from: peer)
        await coordinator.receive(hello("w"), payload: nil, from: peer)
        #expect(await coordinator.conversations["w"]?.toldBlobs == 519_999)
        await coordinator.receive(.held(blobs), payload: nil, from: peer)
        #expect(await coordinator.conversations["w"]?.toldBlobs == 524_289)
        await coordinator.receive(hello("w"), payload: nil, from: try RoutingIdentity("another"))
        #expect(await coordinator.conversations["w"]?.toldBlobs == 0)
        await endpoint.close()
    }

    @Test func `chunks without credit fill no memory, and their sender is not talked to any more`() async throws {
        let (channel, peer) = try await worker()
        await coordinator.receive(hello("w"), payload: nil, from: peer)
        let chunk = Frame([UInt8](repeating: 0, count: WireLimits.chunkBytes))
        for number in 0...UInt64(TransferQueue.bytesPerPeer / WireLimits.chunkBytes) {
            await coordinator.receive(.uploadChunk(transfer: 1, offset: number << 20), payload: chunk, from: peer)
        }
        #expect(
            try await refusal(of: channel)
                == "its transfers exceed their credit; is it a worker of this version?")
        await channel.close(flushingFor: .zero)
        await endpoint.close()
    }

    // MARK: - Words that cannot be right

    private func unit(_ number: Int) -> LeasedUnit {
        LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(number)), Attempt(1))
    }

    /// Messages about things that the worker was not given, by the name of their count.
    private static let forgeries: [(about: String, message: @Sendable (LeasedUnit, BlobDigest) -> WorkerMessage)] =
        [
            ("unit", { name, _ in .started(name) }),
            ("unit", { name, _ in .finished(name, UnitResult(), elapsedSeconds: 1, kernelSeconds: 1) }),
            ("unit", { name, _ in .failed(name, UnitFailure(kind: .badInput, message: "no")) }),
            ("unit", { name, _ in .heartbeat("w", [UnitProgress(unit: name, steps: 1)]) }),
            ("name", { _, _ in .heartbeat("other", []) }),
            ("blob", { _, blob in .uploadOffer(transfer: 1, BlobReference(digest: blob, byteCount: 1)) }),
            ("blob", { _, blob in .collectFailure(blob, message: "no") }),
            (
                "range",
                { _, blob in
                    .rangeRequest(RangeRequest(transfer: 1, source: .blob(blob), offset: 0, byteCount: 1, credit: 8))
                }
            ),
            (
                "range",
                { name, _ in
                    .rangeRequest(
                        RangeRequest(
                            transfer: 1, source: .inputFile(name.unit.job, 0), offset: 0, byteCount: 1, credit: 8))
                }
            ),
        ]

    @Test(arguments: forgeries.indices)
    func `a word about what was never given is counted, and the third ends the connection`(index: Int) async throws {
        let (about, forged) = Self.forgeries[index]
        let (channel, peer) = try await worker()
        await coordinator.receive(hello("w", connection: 0), payload: nil, from: peer)
        for number in 0..<2 { await coordinator.receive(forged(unit(number), blob), payload: nil, from: peer) }
        #expect(await coordinator.conversations["w"]?.refusedWords == 2)
        // A second greeting on the same connection does not start anew.
        await coordinator.receive(hello("w", connection: 0), payload: nil, from: peer)
        await coordinator.receive(forged(unit(2), blob), payload: nil, from: peer)
        #expect(try await refusal(of: channel).hasSuffix("; is it a worker of this coordinator?"))
        let metrics = await supervision.metrics.exposition()
        #expect(metrics.contains("kfacd_refused_words_total{about=\"\(about)\"} 3"))
        await channel.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `words from before a restart are dropped, and cost nothing`() async throws {
        for (worker, connection): (WorkerID, UInt32) in [("returned", 1), ("early", 0)] {
            let peer = try RoutingIdentity(worker.rawValue)
            if connection == 0 { await coordinator.receive(.started(unit(0)), payload: nil, from: peer) }
            await coordinator.receive(hello(worker, connection: connection), payload: nil, from: peer)
            for number in 0..<100 {
                let result = UnitResult(blobs: [BlobReference(digest: blob, byteCount: 1)])
                await coordinator.receive(
                    .finished(unit(number), result, elapsedSeconds: 1, kernelSeconds: 1), payload: nil, from: peer)
                await coordinator.receive(
                    .heartbeat(worker, [UnitProgress(unit: unit(number), steps: 1)]), payload: nil, from: peer)
            }
            #expect(await coordinator.conversations[worker]?.refusedWords == 0)
        }
        await endpoint.close()
    }

    @Test func `results that come before their worker greets are kept, a bounded number of them`() throws {
        let (peer, other) = (try RoutingIdentity("peer"), try RoutingIdentity("other"))
        var results = EarlyResults()
        func keep(_ number: Int, from peer: RoutingIdentity, numbers: Int = 1) {
            results.keep(
                .init(
                    peer: peer,
                    unit: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(number)), Attempt(1)),
                    result: UnitResult(measurements: [.trace: [Double](repeating: 0, count: numbers)]),
                    timing: UnitTiming(elapsedSeconds: 1, kernelSeconds: 1)))
        }
        keep(0, from: other)
        keep(1, from: peer, numbers: EarlyResults.numbersMax + 1)
        for number in 2...EarlyResults.countMax + 1 { keep(number, from: peer) }
        #expect(results.take(from: other).isEmpty)
        let units = results.take(from: peer).map(\.unit.unit.unit.position)
        #expect(units == Array(2...EarlyResults.countMax + 1))
        #expect(results.take(from: peer).isEmpty)
    }

    /// A connection that the test controls, and its name at the endpoint.
    private func worker() async throws -> (MessageChannel, RoutingIdentity) {
        let channel = try await MessageChannel.connect(endpoint.endpoint, context: context)
        try await channel.send(try Message(.request(1, .jobs)))
        guard case .message(_, _, let peer)? = await endpoint.next() else { throw Unheard() }
        return (channel, peer)
    }

    /// Why the coordinator refuses a peer; earlier messages are skipped.
    private func refusal(of channel: MessageChannel) async throws -> String {
        while true {
            if case .refusal(let refusal) = try await channel.receive().decoded().message { return refusal.message }
        }
    }

    private struct Unheard: Error {}
}
