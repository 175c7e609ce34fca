public import Identifiers
import KroneckerFactors
public import LinearAlgebra

/// A sum of a stream of rows; the coordinator numbers streams, and a stream numbers its sums from 0.
public struct RowSumName: Hashable, Sendable, CustomStringConvertible {
    /// The stream.
    public let stream: UInt64
    /// The sum's position in the stream's offer.
    public let sum: Int

    /// Names a sum.
    public init(stream: UInt64, sum: Int) { (self.stream, self.sum) = (stream, sum) }

    /// For logs.
    public var description: String { "\(stream)/\(sum)" }
}

/// What a worker sums of rows that arrive: `Σ row·rowᵀ`, or only its diagonal.
///
/// Rows are multiplied in chunks whose borders are counted from the first row of the sum. So the bits do not depend on
/// how the rows were cut into messages. Source: DESIGN section 2.6.
public struct RowSumShape: Equatable, Sendable {
    /// Rows of a chunk of a full sum: larger ones gain 2 % of speed and double the memory of small sums.
    private static let chunkRowsMax = 2048
    /// Bytes of a chunk of a diagonal sum, which needs no product.
    private static let diagonalChunkBytes = 4 << 20

    /// d, elements of a row without the one of a bias.
    public var columns: Int
    /// Whether a one is appended, last, to each row.
    public var appendsOne: Bool
    /// Whether only the sums of squares are wanted.
    public var isDiagonal: Bool

    /// Describes a sum.
    public init(columns: Int, appendsOne: Bool, isDiagonal: Bool) {
        (self.columns, self.appendsOne, self.isDiagonal) = (columns, appendsOne, isDiagonal)
    }

    /// The shape of the sum.
    public var shape: SymmetricShape {
        SymmetricShape(dimension: columns + (appendsOne ? 1 : 0), isDiagonal: isDiagonal)
    }
    /// Rows of a chunk.
    public var chunkRows: Int {
        isDiagonal
            ? max(1, min(Self.chunkRowsMax, Self.diagonalChunkBytes / columns.saturatingProduct(4)))
            : Self.chunkRowsMax
    }
    /// Bytes of the sum, fp64.
    public var byteCount: UInt64 { shape.storedBytes.saturatingProduct(2) }
    /// Memory of the sum and its chunk.
    public var memoryBytes: UInt64 {
        byteCount.saturatingSum(UInt64(clamping: chunkRows.saturatingProduct(columns).saturatingProduct(4)))
    }
    /// Multiply-adds for a row.
    package var rowMultiplyAdds: Double {
        let dimension = Double(shape.dimension)
        return isDiagonal ? dimension : dimension * dimension
    }
    /// Seconds on a nominal core for a chunk.
    package var chunkSeconds: Double {
        UnitCost(
            multiplyAdds: rowMultiplyAdds * Double(chunkRows), inputBytes: 0, outputBytes: 0, memoryBytes: 0
        ).nominalSeconds
    }
    /// Memory of a chunk's product, which the sums of a lane share.
    public var scratchBytes: UInt64 {
        isDiagonal
            ? 0
            : UInt64(
                clamping: shape.dimension.saturatingProduct(shape.dimension).saturatingProduct(4)
                    .saturatingSum(ProductArithmetic.scratchByteCountMax(columnCount: columns)))
    }
}

/// An order to a worker about sums of rows.
///
/// Sums live as long as the worker's greeting: a worker that greets again has none.
public enum RowSumOrder: Equatable, Sendable {
    /// Begin an empty sum; `subject` is its tensor, for messages.
    case begin(RowSumName, RowSumShape, subject: String)
    /// Add whole rows of this type, whose bytes stand in the second frame; answer ``RowSumWord/taken(_:)``.
    case add(RowSumName, ElementType)
    /// No rows follow.
    case finish(RowSumName)
    /// Send bytes of the finished sum: ``RowSumWord/bytes(_:offset:)``.
    case send(RowSumName, offset: UInt64, byteCount: Int)
    /// Forget the sums of a stream.
    case end(stream: UInt64)

    /// The stream that the order is about.
    public var stream: UInt64 {
        switch self {
        case .begin(let name, _, _), .add(let name, _), .finish(let name), .send(let name, _, _): name.stream
        case .end(let stream): stream
        }
    }
    /// The sum that the order is about; `nil` if it is about a whole stream.
    public var name: RowSumName? {
        switch self {
        case .begin(let name, _, _), .add(let name, _), .finish(let name), .send(let name, _, _): name
        case .end: nil
        }
    }
}

/// What a worker says of sums of rows.
public enum RowSumWord: Equatable, Sendable {
    /// A message of rows has been read, so another one may come.
    case taken(RowSumName)
    /// The sum cannot be finished.
    case failed(RowSumName, UnitFailure)
    /// Bytes of a finished sum, in the second frame.
    case bytes(RowSumName, offset: UInt64)

    /// The sum.
    public var name: RowSumName {
        switch self {
        case .taken(let name), .failed(let name, _), .bytes(let name, _): name
        }
    }
}
