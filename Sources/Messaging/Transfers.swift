import Identifiers
import WireProtocol
import ZeroMQ

/// Bytes on their way to the worker.
struct Download {
    let request: RangeRequest
    private(set) var received: UInt64 = 0
    private(set) var failure: String?
    private var chunks: [Frame] = []
    var waiter: CheckedContinuation<Void, Never>?

    init(request: RangeRequest) {
        self.request = request
    }

    /// Whether all bytes have come.
    var isComplete: Bool { received == request.byteCount }

    /// Takes in a chunk; one that is not the next is dropped, since it was asked for again.
    mutating func receive(_ chunk: Frame, at offset: UInt64) {
        guard offset == request.offset + received, UInt64(chunk.byteCount) <= request.byteCount - received,
            chunk.byteCount > 0
        else { return }
        chunks.append(chunk)
        received += UInt64(chunk.byteCount)
        wake()
    }

    /// The oldest chunk that was not taken yet.
    mutating func take() -> Frame? {
        chunks.isEmpty ? nil : chunks.removeFirst()
    }

    /// Ends the transfer without the rest.
    mutating func fail(_ message: String) {
        failure = message
        wake()
    }

    /// What to ask for after the coordinator forgot the transfer.
    func remainder(transfer: UInt64) -> RangeRequest {
        var request = request
        request.offset += received
        request.byteCount -= received
        request.credit = WireLimits.chunkCredit - UInt32(min(chunks.count, Int(WireLimits.chunkCredit) - 1))
        return request
    }

    /// Lets whoever waits look again.
    mutating func wake() {
        waiter?.resume()
        waiter = nil
    }
}

/// A blob on its way to the coordinator.
struct Upload {
    /// How it ended: with `nil` when it is stored.
    struct Outcome {
        var message: String?
    }

    let blob: BlobReference
    var sent = 0
    var credit: UInt32 = 0
    private(set) var outcome: Outcome?
    var waiter: CheckedContinuation<Void, Never>?

    init(blob: BlobReference) {
        self.blob = blob
    }

    /// Lets more chunks go; never more than a few rounds' worth, whatever the peer says.
    mutating func grant(_ chunks: UInt32) {
        credit = min(credit + min(chunks, 4 * WireLimits.chunkCredit), 4 * WireLimits.chunkCredit)
        wake()
    }

    mutating func finish(_ message: String?) {
        outcome = Outcome(message: message)
        wake()
    }

    mutating func wake() {
        waiter?.resume()
        waiter = nil
    }
}
