import BlobStore
import Foundation
import Identifiers
import KroneckerFactors
import LinearAlgebra
import SystemPackage
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The sources of a unit's blobs, and the reasons why a blob is missing.
@Suite(.timeLimit(.minutes(5)))
struct UnitInputTests {
    /// A sum of two blobs, the smallest unit that streams its inputs.
    private func sum(_ blobs: [BlobReference]) -> BenchUnit {
        BenchUnit(
            AccumulateOperation(
                side: .input, shape: .full(2), weights: blobs.map { _ in 1 }, exclusions: [nil], scale: .paper),
            reading: blobs)
    }

    /// The inverse of a blob, the smallest unit that reads a whole input.
    private func inverse(_ blob: BlobReference) -> BenchUnit {
        BenchUnit(
            InvertOperation(shape: .full(2), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 0)),
            reading: [blob])
    }

    /// Bytes, with the digest that they should have.
    private func blob(_ elements: [Float]) -> (bytes: [UInt8], blob: BlobReference) {
        let bytes = elements.withUnsafeBytes { Array($0) }
        let digest = BlobDigest(hashing: bytes.span.bytes)
        return (bytes, BlobReference(digest: digest, byteCount: UInt64(bytes.count)))
    }

    @Test func `what is not here is fetched and kept`() async throws {
        try await Bench.run { bench in
            let (bytes, wanted) = blob([2, 0, 4])
            bench.coordinator.offer(bytes, as: .blob(wanted.digest))
            let result = try await bench.result(inverse(wanted))
            #expect(try bench.elements(result.blobs[0]) == [0.5, 0, 0.25])
            #expect(Set(bench.cache.held) == Set([wanted] + result.blobs))
        }
    }

    @Test func `what is here is not asked for`() async throws {
        try await Bench.run { bench in
            let result = try await bench.result(sum([try bench.put([Float(2), 0, 4])]))
            #expect(try bench.elements(result.blobs[0]) == [2, 0, 4])
        }
    }

    @Test func `what the coordinator cannot send is missing`() async throws {
        try await Bench.run { bench in
            let (_, wanted) = blob([2, 0, 4])
            for operation in [sum([wanted]), inverse(wanted)] {
                let (fault, message) = try await bench.fault(operation)
                #expect(fault == .inputMissing)
                #expect(
                    message == "the unit: blob \(wanted.digest) cannot be had from the coordinator: "
                        + "the test has no such bytes")
            }
            #expect(bench.cache.held == [])
        }
    }

    @Test func `other bytes than the name's are missing`() async throws {
        try await Bench.run { bench in
            let (_, wanted) = blob([2, 0, 4])
            let (otherBytes, other) = blob([3, 0, 4])
            bench.coordinator.offer(otherBytes, as: .blob(wanted.digest))
            let (fault, message) = try await bench.fault(inverse(wanted))
            #expect(fault == .inputMissing)
            #expect(
                message == "the unit: blob \(wanted.digest) came from the coordinator with bytes of the "
                    + "digest \(other.digest)")
            #expect(bench.cache.held == [])
        }
    }

    /// Makes all bytes of a file equal, which holds one blob or more.
    private func overwrite(_ path: FilePath, with byte: UInt8) throws {
        let url = URL(fileURLWithPath: path.string)
        try Data(repeating: byte, count: try Data(contentsOf: url).count).write(to: url)
    }

    @Test func `a damaged file is removed, told, and missing`() async throws {
        try await Bench.run { bench in
            for operation in [sum, { inverse($0[0]) }] as [([BlobReference]) -> BenchUnit] {
                let damaged = try bench.put([Float(2), 0, 4])
                _ = bench.cache.takeChanges()
                let path = bench.cache.path(of: damaged.digest)
                try overwrite(path, with: 7)
                let (fault, message) = try await bench.fault(operation([damaged]))
                #expect(fault == .inputMissing)
                let found = BlobDigest(hashing: [UInt8](repeating: 7, count: 12).span.bytes)
                #expect(
                    message == "the unit: blob \(damaged.digest) was lost: \(path): the blob is damaged: its "
                        + "bytes have the digest \(found). It was removed, and is made again when it is needed. Check the "
                        + "disk.")
                #expect(bench.cache.takeChanges().dropped == [damaged.digest])
            }
        }
    }

    @Test func `a damaged file is replaced by what the coordinator has at the next attempt`() async throws {
        try await Bench.run { bench in
            let (bytes, wanted) = blob([2, 0, 4])
            _ = try bench.put([Float(2), 0, 4])
            bench.coordinator.offer(bytes, as: .blob(wanted.digest))
            let path = bench.cache.path(of: wanted.digest)
            try overwrite(path, with: 7)
            #expect(try await bench.fault(sum([wanted])).fault == .inputMissing)
            #expect(try await bench.result(sum([wanted])).blobs == [wanted])
        }
    }

    @Test func `a unit that does not fit fails for want of space, and frees what it held`() async throws {
        try await Bench.run(cacheBytes: 24) { bench in
            let blobs = [blob([2, 0, 4]), blob([1, 0, 1])]
            for (bytes, blob) in blobs { bench.coordinator.offer(bytes, as: .blob(blob.digest)) }
            let (fault, message) = try await bench.fault(sum(blobs.map(\.blob)))
            #expect(fault == .noSpace)
            #expect(
                message.hasPrefix(
                    "the unit: \(bench.cache.directory): there is no room for 12 bytes: the limit is 24 bytes, of which "
                        + "24 are in use by units under way,"))
            #expect(try await bench.result(sum([blobs[0].blob])).blobs == [blobs[0].blob])
        }
    }

    @Test func `a blob that never fits is a failure that no room mends`() async throws {
        try await Bench.run(cacheBytes: 8) { bench in
            let (bytes, wanted) = blob([2, 0, 4])
            bench.coordinator.offer(bytes, as: .blob(wanted.digest))
            let (fault, message) = try await bench.fault(sum([wanted]))
            #expect(fault == .world)
            #expect(
                message
                    == "the unit: \(bench.cache.directory): 12 bytes never fit: the most is 8 bytes. Raise --cache-size."
            )
        }
    }

    @Test func `a unit that is no longer wanted ends while it waits for bytes`() async throws {
        try await Bench.run { bench in
            let (_, wanted) = blob([2, 0, 4])
            bench.coordinator.withhold(.blob(wanted.digest))
            let input = bench.input(inverse(wanted))
            async let outcome = withTaskGroup(of: UnitOutcome.self) { group in
                group.addTask { await bench.execute(input).outcome }
                group.addTask {
                    _ = try? await bench.coordinator.next("the request") { message -> Bool? in
                        if case .rangeRequest = message { true } else { nil }
                    }
                    return .cancelled
                }
                _ = await group.next()
                group.cancelAll()
                return await group.next()
            }
            guard case .cancelled = await outcome else {
                Issue.record("expected the unit to end without a word")
                return
            }
            input.blobs.release()
            // The room is free again.
            let writer = try bench.cache.beginWrite(byteCount: 64 << 20)
            writer.abandon()
        }
    }

    @Test func `every range, chunk and kernel is a step`() async throws {
        try await Bench.run { bench in
            let counter = UnitProgressCounter(unit: Bench.name)
            let (bytes, wanted) = blob([2, 0, 4])
            bench.coordinator.offer(bytes, as: .blob(wanted.digest))
            let input = bench.input(inverse(wanted), counter: counter)
            guard case .computed = await bench.execute(input).outcome else {
                Issue.record("the unit failed")
                return
            }
            // The steps are: fetched, read, inverted, stored.
            #expect(counter.steps == 4)
        }
    }

    @Test func `two lanes that need the same blob fetch it once`() async throws {
        let turns = FetchTurns()
        let (_, wanted) = blob([2, 0, 4])
        let digest = wanted.digest
        #expect(await turns.begin(digest))
        async let second = turns.begin(digest)
        await turns.end(digest)
        // The second call either waited for the first, or came after it.
        if await second { await turns.end(digest) }
        #expect(await turns.begin(digest))
    }
}
