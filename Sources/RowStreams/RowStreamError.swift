import Identifiers
import LinearAlgebra

/// Why a stream of rows does not begin, or ends before its sums are durable.
///
/// Each description is a sentence: what is wrong, what was expected, what to do.
public enum RowStreamError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No worker takes rows.
    case noWorker
    /// The workers with memory for rows can never hold the sums.
    case tooLarge(needed: UInt64, capacity: UInt64)
    /// Other streams hold the memory.
    case noRoom(needed: UInt64, free: UInt64)
    /// One sum is larger than the memory of any worker.
    case sumTooLarge(tensor: String, needed: UInt64, largest: UInt64)
    /// The offer has no such sum.
    case unknownSum(Int, sums: Int)
    /// Rows are missing, or came twice.
    case wrongPlace(tensor: String, firstRow: UInt64, expected: UInt64)
    /// The bytes are no whole rows.
    case noRows(tensor: String, byteCount: Int, rowBytes: Int)
    /// The message is too large.
    case messageTooLarge(byteCount: Int)
    /// More messages are on their way than the credit allows.
    case beyondCredit
    /// Rows or a second commit came after the commit.
    case afterCommit
    /// A worker cannot finish a sum because of its rows.
    case badRows(String)
    /// A worker cannot finish a sum for a reason of its own.
    case workerFailed(tensor: String, String)
    /// The worker of a sum is gone.
    case workerLeft(tensor: String, reason: String)

    /// The kinds of ends, by what the client should do.
    public enum Remedy: Sendable {
        /// Tell a person.
        case correct
        /// Wait, and offer the sequence again.
        case again
        /// Tell a person who may change the cluster.
        case change
    }

    /// What the client should do.
    public var remedy: Remedy {
        switch self {
        case .unknownSum, .wrongPlace, .noRows, .messageTooLarge, .beyondCredit, .afterCommit, .badRows: .correct
        case .noWorker, .noRoom, .workerFailed, .workerLeft: .again
        case .tooLarge, .sumTooLarge: .change
        }
    }

    /// The sentence.
    public var description: String {
        switch self {
        case .noWorker:
            "no worker takes rows now. Start workers with \"--row-memory MIB\", or wait for them."
        case .tooLarge(let needed, let capacity):
            "the sums need \(needed.mebibytes) of memory, and all workers together have \(capacity.mebibytes) for rows. "
                + "Start more workers with \"--row-memory\", or send fewer layers in a run."
        case .noRoom(let needed, let free):
            "the sums need \(needed.mebibytes) of memory, and the workers have \(free.mebibytes) free beside other streams. "
                + "Wait until these have ended, or start more workers with \"--row-memory\"."
        case .sumTooLarge(let tensor, let needed, let largest):
            "the sum \"\(tensor.excerpt)\" needs \(needed.mebibytes) of memory, and no worker has more than "
                + "\(largest.mebibytes) for rows. Raise \"--row-memory\" of a worker."
        case .unknownSum(let sum, let sums):
            "rows came for sum \(sum), and the offer has \(sums) sums, counted from 0."
        case .wrongPlace(let tensor, let firstRow, let expected):
            "rows of \"\(tensor.excerpt)\" came for row \(firstRow); expected row \(expected). Send the rows of a sum in "
                + "order, and each once."
        case .noRows(let tensor, let byteCount, let rowBytes):
            "\(byteCount) bytes came for \"\(tensor.excerpt)\"; expected whole rows of \(rowBytes) bytes."
        case .messageTooLarge(let byteCount):
            "\(byteCount) bytes of rows came in one message; expected at most \(RowStreamLimits.messageBytes)."
        case .beyondCredit: "more messages came than the credit allows. Wait for answers before sending more."
        case .afterCommit: "a message came after the commit. Nothing follows a commit."
        case .badRows(let message): message
        case .workerFailed(let tensor, let message):
            "the worker that sums \"\(tensor.excerpt)\" failed: \(message) Send all rows of this sequence again."
        case .workerLeft(let tensor, let reason):
            "the worker that summed \"\(tensor.excerpt)\" is gone (\(reason)). Send all rows of this sequence again."
        }
    }
}

extension UInt64 {
    fileprivate var mebibytes: String { "\(self >> 20 + (self & 0xF_FFFF == 0 ? 0 : 1)) MiB" }
}
