import Identifiers
import UnitOperations
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

    /// Whether all bytes have arrived.
    var isComplete: Bool { received == request.byteCount }

    /// Accepts a chunk; a chunk out of order is dropped, because it was asked for again.
    mutating func receive(_ chunk: Frame, at offset: UInt64) {
        guard offset == request.offset + received, UInt64(chunk.byteCount) <= request.byteCount - received,
            chunk.byteCount > 0
        else { return }
        chunks.append(chunk)
        received += UInt64(chunk.byteCount)
        wake()
    }

    /// Removes the oldest chunk that nobody has taken.
    mutating func take() -> Frame? {
        chunks.isEmpty ? nil : chunks.removeFirst()
    }

    /// Ends the transfer with an error.
    mutating func fail(_ message: String) {
        failure = message
        wake()
    }

    /// The request for the rest, after the coordinator forgot the transfer.
    func remainder(transfer: UInt64) -> RangeRequest {
        var request = request
        request.offset += received
        request.byteCount -= received
        request.credit = WireLimits.chunkCredit - UInt32(min(chunks.count, Int(WireLimits.chunkCredit) - 1))
        return request
    }

    /// Wakes the task that waits.
    mutating func wake() {
        waiter?.resume()
        waiter = nil
    }
}

/// A blob on its way to the coordinator.
struct Upload {
    /// The outcome: `nil` when the blob is stored.
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

    /// Allows more chunks; their number is bounded to a few rounds, whatever the peer says.
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
