import BlobStore
import Identifiers
import LinearAlgebra
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The queues of a worker: units, and blobs to collect.
@Suite(.timeLimit(.minutes(5)))
struct QueueTests {
    private func digest(_ number: UInt8) -> BlobDigest { BlobDigest(hashing: [number].span.bytes) }

    private func lease(_ unit: Int, attempt: Int = 1) -> UnitLease {
        UnitLease(
            leased: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(unit)), Attempt(attempt)), title: "",
            subject: "", operation: CombineOperation(partCount: 1, shape: .full(1), divisor: 1), inputs: UnitInputs(),
            files: [:])
    }

    @Test func `wishes are bounded, and a repeated one is passed over`() async {
        let queue = WorkQueue.wishes()
        for number in 0..<UInt8(queue.limit) { #expect(queue.add(digest(number))) }
        #expect(queue.add(digest(0)))
        #expect(!queue.add(digest(200)))
        #expect(await queue.next() == digest(0))
        // The first blob is being sent, so asking again changes nothing.
        #expect(queue.add(digest(0)))
        #expect(queue.add(digest(200)))
        queue.end(digest(0))
        #expect(!queue.add(digest(0)))
        queue.close()
        #expect(await queue.next() == nil)
    }

    @Test func `a unit that is given twice is computed once`() async {
        let queue = WorkQueue.units()
        queue.add(lease(1))
        queue.add(lease(1))
        let first = await queue.next()
        #expect(first?.lease == lease(1))
        queue.add(lease(1))
        queue.add(lease(1, attempt: 2))
        #expect(await queue.next()?.lease == lease(1, attempt: 2))
    }

    @Test func `a unit that is revoked between being taken and being begun ends at its first step`() async throws {
        let queue = WorkQueue.units()
        queue.add(lease(1))
        let unit = try #require(await queue.next())
        queue.revoke(unit.leased)
        await confirmation { ended in
            await unit.run {
                if Task.isCancelled { ended() }
            }
        }
    }

    @Test func `a revoked unit that waits is forgotten`() async {
        let queue = WorkQueue.units()
        queue.add(lease(1))
        queue.add(lease(2))
        queue.revoke(lease(1).leased)
        #expect(await queue.next()?.lease == lease(2))
    }

    @Test func `the board shows units in the order in which they began`() throws {
        let board = ProgressBoard()
        let first = board.begin(lease(1).leased)
        let second = board.begin(lease(2).leased)
        try second.step()
        try second.step()
        #expect(board.progress.map(\.steps) == [0, 2])
        board.end(first)
        #expect(board.progress == [UnitProgress(unit: second.unit, steps: 2)])
    }
}
