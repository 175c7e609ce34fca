import BlobStore
import Foundation
import Identifiers
import Testing
import UnitOperations
import WireProtocol
import WorkerService

/// The messages and acts of a worker, seen from the coordinator's end of a real connection.
@Suite(.timeLimit(.minutes(5)))
struct WorkerTests {
    @Test func `a unit's outputs stay with the worker until they are collected`() async throws {
        try await WorkerHarness.run { harness in
            // 1100 rows make a blob of 2.4 MB. These are three chunks, one more than the first credit.
            let factor = (0..<1100 * 1101 / 2).map { Float($0 % 1000) }
            let lease = harness.lease(1, [factor, factor])
            await harness.coordinator.send(.order(.lease(lease)))
            let result = try await harness.result(of: lease)
            let blob = try #require(result.blobs.first)
            #expect(harness.coordinator.stored(blob.digest) == nil)
            await harness.coordinator.send(.order(.collect(blob.digest)))
            // A repeated order is answered once.
            await harness.coordinator.send(.order(.collect(blob.digest)))
            try await harness.waitUntilStored(blob.digest)
            try await harness.dismiss()
            let expected = factor.map { 2 * $0 }.withUnsafeBytes { Array($0) }
            #expect(harness.coordinator.stored(blob.digest) == expected)
        }
    }

    @Test func `brief units are reported too, and in the order of their ends`() async throws {
        try await WorkerHarness.run { harness in
            let leases = (1...5).map { number in
                var lease = harness.lease(number, [[1, 0, 1], [2, 0, 2]])
                lease.isBrief = true
                return lease
            }
            await harness.coordinator.send(leases.map { .order(.lease($0)) })
            var ended: [LeasedUnit] = []
            while ended.count < leases.count {
                ended.append(
                    try await harness.coordinator.next("a result") { message in
                        if case .finished(let unit, _, _, _) = message { unit } else { nil }
                    })
            }
            #expect(ended == leases.map(\.leased))
            try await harness.dismiss()
        }
    }

    @Test func `a worker that computes tells its progress, and one that waits is silent for the time it is told`()
        async throws
    {
        try await WorkerHarness.run { harness in
            let lease = harness.lease(1, [[1, 0, 1], [2, 0, 2]])
            let source = RangeRequest.Source.blob(lease.inputs.blobs[1].digest)
            harness.coordinator.withhold(source)
            await harness.coordinator.send(.order(.lease(lease)))
            let first = try await harness.coordinator.next("a heartbeat") { message in
                if case .heartbeat(_, let units) = message { units } else { nil }
            }
            #expect(first.map(\.unit) == [lease.leased])
            try await harness.coordinator.next("another one") { message -> Void? in
                if case .heartbeat(_, let units) = message, units.map(\.unit) == [lease.leased] { () } else { nil }
            }
            harness.coordinator.stopWithholding(source)
            await harness.coordinator.send(.order(.revoke(lease.leased)))
            try await harness.dismiss()
        }
    }

    @Test func `a blob that is not there cannot be collected`() async throws {
        try await WorkerHarness.run { harness in
            let digest = BlobDigest(hashing: [1, 2, 3].span.bytes)
            await harness.coordinator.send(.order(.collect(digest)))
            let message = try await harness.coordinator.next("the failure") { message in
                if case .collectFailure(digest, let message) = message { message } else { nil }
            }
            #expect(message == "the worker does not hold it")
            try await harness.dismiss()
        }
    }

    @Test func `what the worker holds is told, and what it dropped`() async throws {
        try await WorkerHarness.run { harness in
            let lease = harness.lease(1, [[1, 0, 1], [2, 0, 2]])
            await harness.coordinator.send(.order(.lease(lease)))
            let result = try await harness.result(of: lease)
            let blob = try #require(result.blobs.first)
            await harness.coordinator.send(.order(.discard([blob.digest])))
            try await harness.coordinator.next("the loss") { message -> Void? in
                if case .dropped([blob.digest]) = message { () } else { nil }
            }
            // After the second greeting it reports all blobs that are left: the inputs that it fetched.
            await harness.coordinator.send(.unknownWorker)
            let held = try await harness.coordinator.next("what is held") { message -> [BlobReference]? in
                if case .held(let blobs) = message, blobs.count == 2 { blobs } else { nil }
            }
            #expect(Set(held) == Set(lease.inputs.blobs))
            try await harness.dismiss()
        }
    }

    @Test func `a missing input is a fault of its own`() async throws {
        try await WorkerHarness.run { harness in
            var lease = harness.lease(1, [[1, 0, 1]])
            let digest = BlobDigest(hashing: [9].span.bytes)
            lease.inputs.blobs = [BlobReference(digest: digest, byteCount: 12)]
            await harness.coordinator.send(.order(.lease(lease)))
            let (fault, message) = try await harness.coordinator.next("the failure") { message in
                if case .failed(_, let failure) = message { (failure.kind, failure.message) } else { nil }
            }
            #expect(fault == .inputMissing)
            #expect(
                message == "unit 1: blob \(digest) cannot be had from the coordinator: the test has no such bytes")
            try await harness.dismiss()
        }
    }

    @Test func `signs of life tell how far a unit has come, and a revoked unit ends without a word`() async throws {
        try await WorkerHarness.run { harness in
            let lease = harness.lease(1, [[1, 0, 1], [2, 0, 2]])
            let name = lease.leased
            // The second input never comes. The first takes two steps: its chunk, and the wait for the other.
            harness.coordinator.withhold(.blob(lease.inputs.blobs[1].digest))
            await harness.coordinator.send(.order(.lease(lease)))
            let steps = try await harness.coordinator.next("progress") { message -> UInt64? in
                guard case .heartbeat(_, let progress) = message, progress.first?.unit == name else { return nil }
                return progress.first.flatMap { $0.steps > 0 ? $0.steps : nil }
            }
            #expect(steps == 1)
            await harness.coordinator.send(.order(.revoke(name)))
            // The lane is free again, and nothing was reported about the first unit.
            let second = harness.lease(2, [[1, 0, 1]])
            await harness.coordinator.send(.order(.lease(second)))
            let answered = try await harness.coordinator.next("the next result") { message -> LeasedUnit? in
                switch message {
                case .finished(let name, _, _, _), .failed(let name, _): name
                default: nil
                }
            }
            #expect(answered.unit == second.leased.unit)
            try await harness.dismiss()
        }
    }

    @Test func `a unit goes on when the coordinator has forgotten the worker, and is reported`() async throws {
        try await WorkerHarness.run { harness in
            let lease = harness.lease(1, [[1, 0, 1], [2, 0, 2]])
            let source = RangeRequest.Source.blob(lease.inputs.blobs[1].digest)
            harness.coordinator.withhold(source)
            await harness.coordinator.send(.order(.lease(lease)))
            try await harness.coordinator.next("the request that nobody answers") { message -> Void? in
                if case .rangeRequest(let request) = message, request.source == source { () } else { nil }
            }
            harness.coordinator.stopWithholding(source)
            // The worker greets the restarted coordinator, and asks it for the bytes again.
            await harness.coordinator.send(.unknownWorker)
            let sum = BlobDigest(hashing: ([3, 0, 3] as [Float]).span.bytes)
            #expect(try await harness.result(of: lease).blobs.map(\.digest) == [sum])
            try await harness.dismiss()
        }
    }

    @Test func `a drained worker finishes its unit, serves what is collected, and leaves when let go`() async throws {
        try await WorkerHarness.run { harness in
            let first = harness.lease(1, [[1, 0, 1], [2, 0, 2]])
            let second = harness.lease(2, [[5, 0, 5]])
            await harness.coordinator.send(.order(.lease(first)))
            await harness.coordinator.send(.order(.lease(second)))
            try await harness.coordinator.next("the beginning") { message -> Void? in
                if case .started(first.leased) = message { () } else { nil }
            }
            harness.worker.drain(reason: "the test is over")
            let reason = try await harness.coordinator.next("the announcement") { message in
                if case .draining(let reason) = message { reason } else { nil }
            }
            #expect(reason == "the test is over")
            let last = harness.lease(3, [[4, 0, 4]])
            await harness.coordinator.send(.order(.lease(last)))
            let sum = BlobDigest(hashing: ([3, 0, 3] as [Float]).span.bytes)
            await harness.coordinator.send(.order(.collect(sum)))
            try await harness.waitUntilStored(sum)
            await harness.coordinator.send(.order(.dismiss))
            var hasBegunLast = false
            try await harness.coordinator.next("the goodbye") { message -> Void? in
                if case .started(last.leased) = message { hasBegunLast = true }
                return if case .goodbye = message { () } else { nil }
            }
            #expect(!hasBegunLast)
        }
    }

    @Test func `a worker that is not let go leaves when its patience ends`() async throws {
        try await WorkerHarness.run(drainLimit: .milliseconds(10)) { harness in
            await harness.coordinator.send(.order(.drain))
            let reason = try await harness.coordinator.next("the announcement") { message in
                if case .draining(let reason) = message { reason } else { nil }
            }
            #expect(reason == "the coordinator takes the worker out of service")
            try await harness.goodbye()
        }
    }
}
