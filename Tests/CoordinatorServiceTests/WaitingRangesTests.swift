import Identifiers
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

@Suite struct WaitingRangesTests {
    private var ranges = WaitingRanges()
    private let (one, two): (RoutingIdentity, RoutingIdentity)
    private let blob = BlobDigest(sha256: [UInt8](repeating: 1, count: 32))
    private let other = BlobDigest(sha256: [UInt8](repeating: 2, count: 32))

    init() throws {
        (one, two) = (try RoutingIdentity("one"), try RoutingIdentity("two"))
    }

    private func range(_ transfer: UInt64, of blob: BlobDigest) -> RangeRequest {
        RangeRequest(transfer: transfer, source: .blob(blob), offset: 0, byteCount: 1, credit: 1)
    }

    private mutating func add(_ transfer: UInt64, of blob: BlobDigest, from peer: RoutingIdentity) -> Bool {
        ranges.add(range(transfer, of: blob), for: blob, from: peer)
    }

    private func transfers(_ waiters: [WaitingRanges.Waiter]) -> [UInt64] { waiters.map(\.range.transfer).sorted() }

    @Test mutating func `a blob that has come ends the waiting for it, and for no other`() {
        for (transfer, blob) in [(1, blob), (2, other), (3, blob)] as [(UInt64, BlobDigest)] {
            #expect(add(transfer, of: blob, from: one))
        }
        #expect(transfers(ranges.take(blob)) == [1, 3])
        #expect(transfers(ranges.take(blob)) == [])
        #expect(transfers(ranges.all) == [2])
    }

    @Test mutating func `a worker has room for so many requests, whatever others wait for`() {
        for transfer in 0..<UInt64(TransferService.transfersPerPeer) {
            #expect(add(transfer, of: blob, from: one))
        }
        #expect(!add(999, of: other, from: one))
        #expect(add(999, of: other, from: two))
    }

    @Test mutating func `what is not wanted any more is forgotten, of its worker only`() {
        for peer in [one, two] {
            for transfer: UInt64 in 1...2 { #expect(add(transfer, of: blob, from: peer)) }
        }
        ranges.forget(1, of: one)
        #expect(transfers(ranges.all) == [1, 2, 2])
        ranges.forget(one)
        #expect(transfers(ranges.all) == [1, 2])
        ranges.forget(two)
        #expect(ranges.all == [])
    }
}
