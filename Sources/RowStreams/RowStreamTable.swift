import DequeModule
import Identifiers
public import LinearAlgebra
public import UnitOperations

/// What must be done after an event of a stream, in order.
public enum RowStreamEffect<Peer: Hashable & Sendable>: Equatable, Sendable {
    /// Send an order to a worker, with the rows of the event when it is `add`.
    case order(RowSumOrder, to: Peer)
    /// Tell the client how many bytes were taken, and its credit.
    case answer(stream: UInt64, takenBytes: UInt64, credit: Int)
    /// Write the bytes of the event into the tensors of a sum.
    case write(stream: UInt64, sum: Int, offset: UInt64)
    /// All sums are written.
    case complete(stream: UInt64)
    /// The stream ended: tell the client why, and drop what was written.
    case fail(stream: UInt64, RowStreamError)
}

/// The open streams of rows: which worker has each sum, how far each has come, and what may be on its way.
///
/// It is a value without clock and I/O. Every message is an event, and every answer an effect, so that all failures can
/// be tried. A stream passes from *receiving* to *collecting*, and ends once its sums are durable, or with an error.
/// A stream that ended left nothing: the client sends the sequence again.
public struct RowStreamTable<Peer: Hashable & Sendable>: Sendable {
    /// The effects of an event.
    public typealias Effects = [RowStreamEffect<Peer>]

    private struct Sum {
        let tensor: String
        let shape: RowSumShape
        let worker: Peer
        var rowCount: UInt64 = 0
        /// The bytes of the messages that no worker has taken yet, in order.
        var untaken: Deque<Int> = []
        /// The first byte that was not asked for, after the commit.
        var askedBytes: UInt64 = 0
    }

    private struct Stream {
        var sums: [Sum]
        var takenBytes: UInt64 = 0
        /// Messages without an answer.
        var unanswered = 0
        var isCommitted = false
        /// The first sum of which not all bytes were asked for.
        var nextSum = 0
        /// The ranges that were asked for and have not come.
        var awaited: [RowSumRange] = []

        /// Counts a message of rows, if it fits.
        mutating func add(sum: Int, firstRow: UInt64, _ type: ElementType, byteCount: Int) throws(RowStreamError) {
            guard !isCommitted else { throw .afterCommit }
            guard sums.indices.contains(sum) else { throw .unknownSum(sum, sums: sums.count) }
            // The credit may have fallen while messages were on their way.
            guard unanswered < RowStreamLimits.creditMax else { throw .beyondCredit }
            let (tensor, expected) = (sums[sum].tensor, sums[sum].rowCount)
            guard firstRow == expected else {
                throw .wrongPlace(tensor: tensor, firstRow: firstRow, expected: expected)
            }
            guard byteCount <= RowStreamLimits.messageBytes else { throw .messageTooLarge(byteCount: byteCount) }
            let rowBytes = sums[sum].shape.columns.saturatingProduct(type.byteCount)
            guard byteCount > 0, byteCount.isMultiple(of: rowBytes) else {
                throw .noRows(tensor: tensor, byteCount: byteCount, rowBytes: rowBytes)
            }
            sums[sum].rowCount += UInt64(byteCount / rowBytes)
            sums[sum].untaken.append(byteCount)
            unanswered += 1
        }
    }

    private struct RowSumRange: Equatable {
        let sum: Int
        let offset: UInt64
        let byteCount: Int
    }

    private var streams: [UInt64: Stream] = [:]
    private var workers = RowWorkers<Peer>()

    /// A table without streams and workers.
    public init() {}

    /// The number of open streams.
    public var count: Int { streams.count }

    /// Messages of rows that each stream may have on their way.
    public var credit: Int {
        let share = RowStreamLimits.creditOfAll / max(1, streams.count)
        return min(RowStreamLimits.creditMax, max(RowStreamLimits.creditMin, share))
    }

    /// Whether a stream has been committed.
    public func isCommitted(_ stream: UInt64) -> Bool { streams[stream]?.isCommitted ?? false }

    /// The rows of each sum that have come.
    public func rowCounts(of stream: UInt64) -> [UInt64] { streams[stream]?.sums.map(\.rowCount) ?? [] }

    // MARK: - Workers

    /// A worker greeted; without memory for rows it gets no sums.
    public mutating func join(_ worker: Peer, memoryBytes: UInt64, lanes: Int) {
        workers.join(worker, memoryBytes: memoryBytes, lanes: max(1, lanes))
    }

    /// A worker gets no more sums.
    public mutating func drain(_ worker: Peer) { workers.drain(worker) }

    /// A worker is gone, with its sums.
    ///
    /// - Returns: The ends of its streams.
    public mutating func leave(_ worker: Peer, reason: String) -> Effects {
        workers.leave(worker)
        var effects: Effects = []
        for stream in streams.keys.sorted() {
            guard let sum = streams[stream]?.sums.first(where: { $0.worker == worker }) else { continue }
            effects += fail(stream, .workerLeft(tensor: sum.tensor, reason: reason), without: worker)
        }
        return effects
    }

    /// A worker says something of a sum; what does not fit was on its way when its stream ended.
    ///
    /// - Parameters:
    ///   - word: The word.
    ///   - byteCount: The bytes that came with it.
    ///   - worker: The sender.
    /// - Returns: What must be done.
    public mutating func note(_ word: RowSumWord, byteCount: Int = 0, from worker: Peer) -> Effects {
        let (number, sum) = (word.name.stream, word.name.sum)
        guard let index = streams.index(forKey: number), streams.values[index].sums.indices.contains(sum),
            streams.values[index].sums[sum].worker == worker
        else { return [] }
        switch word {
        case .taken:
            guard let taken = streams.values[index].sums[sum].untaken.popFirst() else { return [] }
            streams.values[index].takenBytes += UInt64(taken)
            streams.values[index].unanswered -= 1
            guard !streams.values[index].isCommitted else { return [] }
            return [.answer(stream: number, takenBytes: streams.values[index].takenBytes, credit: credit)]
        case .failed(_, let failure):
            let tensor = streams.values[index].sums[sum].tensor
            return fail(
                number,
                failure.kind == .badInput ? .badRows(failure.message) : .workerFailed(tensor: tensor, failure.message))
        case .bytes(_, let offset):
            let range = RowSumRange(sum: sum, offset: offset, byteCount: byteCount)
            guard let place = streams.values[index].awaited.firstIndex(of: range) else { return [] }
            streams.values[index].awaited.remove(at: place)
            // A worker takes the rows of a sum before it sends the sum: what was not taken was lost on its way.
            guard streams.values[index].sums[sum].untaken.isEmpty else {
                return fail(
                    number, .workerFailed(tensor: streams.values[index].sums[sum].tensor, "rows did not reach it."))
            }
            var effects: Effects = [.write(stream: number, sum: sum, offset: offset)]
            effects += Self.ask(of: &streams.values[index], number)
            if streams.values[index].awaited.isEmpty { effects.append(.complete(stream: number)) }
            return effects
        }
    }

    // MARK: - Clients

    /// Opens a stream, and gives each sum to a worker.
    ///
    /// - Parameters:
    ///   - number: A number that no other stream had.
    ///   - sums: The shapes of the sums, and a tensor of each for messages.
    /// - Returns: The orders to the workers, and the answer to the client.
    /// - Throws: ``RowStreamError``; nothing has changed.
    public mutating func open(
        _ number: UInt64, _ sums: [(tensor: String, shape: RowSumShape)]
    ) throws(RowStreamError) -> Effects {
        let chosen = try workers.assign(sums)
        let stream = Stream(
            sums: zip(sums, chosen).map { Sum(tensor: $0.tensor, shape: $0.shape, worker: $1) })
        streams[number] = stream
        var effects: Effects = stream.sums.enumerated().map { index, sum in
            .order(.begin(RowSumName(stream: number, sum: index), sum.shape, subject: sum.tensor), to: sum.worker)
        }
        effects.append(.answer(stream: number, takenBytes: 0, credit: credit))
        return effects
    }

    /// Rows came; they go to the worker of their sum.
    ///
    /// - Parameters:
    ///   - number: The stream.
    ///   - sum: The number of the sum.
    ///   - firstRow: The rows of the sum that came before, as the client counts them.
    ///   - type: The type of the elements.
    ///   - byteCount: The bytes of the rows.
    /// - Returns: The order to the worker, or the end of the stream.
    public mutating func add(
        _ number: UInt64, sum: Int, firstRow: UInt64, _ type: ElementType, byteCount: Int
    ) -> Effects {
        guard let index = streams.index(forKey: number) else { return [] }
        do throws(RowStreamError) {
            try streams.values[index].add(sum: sum, firstRow: firstRow, type, byteCount: byteCount)
        } catch {
            return fail(number, error)
        }
        let worker = streams.values[index].sums[sum].worker
        return [.order(.add(RowSumName(stream: number, sum: sum), type), to: worker)]
    }

    /// The client has sent all rows: the workers finish their sums.
    public mutating func commit(_ number: UInt64) -> Effects {
        guard let index = streams.index(forKey: number) else { return [] }
        guard !streams.values[index].isCommitted else { return fail(number, .afterCommit) }
        streams.values[index].isCommitted = true
        return streams.values[index].sums.enumerated().map { position, sum in
            .order(.finish(RowSumName(stream: number, sum: position)), to: sum.worker)
        }
    }

    /// There is a file for the sums: asks the workers for them.
    public mutating func collect(_ number: UInt64) -> Effects {
        guard let index = streams.index(forKey: number), streams.values[index].isCommitted else { return [] }
        return Self.ask(of: &streams.values[index], number)
    }

    /// Ends a stream whose sums are durable, or whose client is gone.
    public mutating func end(_ number: UInt64) -> Effects { end(number, without: nil) }

    // MARK: -

    private mutating func end(_ number: UInt64, without gone: Peer?) -> Effects {
        guard let stream = streams.removeValue(forKey: number) else { return [] }
        var told: Set<Peer> = gone.map { [$0] } ?? []
        var effects: Effects = []
        for sum in stream.sums {
            workers.release(sum.shape, of: sum.worker)
            if told.insert(sum.worker).inserted { effects.append(.order(.end(stream: number), to: sum.worker)) }
        }
        return effects
    }

    private mutating func fail(_ number: UInt64, _ error: RowStreamError, without gone: Peer? = nil) -> Effects {
        end(number, without: gone) + [.fail(stream: number, error)]
    }

    /// Asks for ranges until enough are on their way.
    private static func ask(of stream: inout Stream, _ number: UInt64) -> Effects {
        var effects: Effects = []
        while stream.awaited.count < RowStreamLimits.rangesMax, stream.nextSum < stream.sums.count {
            let (sum, byteCount) = (stream.nextSum, stream.sums[stream.nextSum].shape.byteCount)
            let offset = stream.sums[sum].askedBytes
            let count = Int(min(UInt64(RowStreamLimits.rangeBytes), byteCount - offset))
            effects.append(
                .order(
                    .send(RowSumName(stream: number, sum: sum), offset: offset, byteCount: count),
                    to: stream.sums[sum].worker))
            stream.awaited.append(RowSumRange(sum: sum, offset: offset, byteCount: count))
            stream.sums[sum].askedBytes += UInt64(count)
            if stream.sums[sum].askedBytes == byteCount { stream.nextSum += 1 }
        }
        return effects
    }
}
