import Identifiers
public import LinearAlgebra
import UnitOperations

/// A client's wish to send rows, which workers sum as they arrive.
public struct RowStreamOffer: Equatable, Sendable {
    /// One sum of outer products.
    public struct Sum: Equatable, Sendable {
        /// The tensors of the file that are this sum.
        public var tensors: [String]
        /// Elements of a row, without the one of a bias.
        public var columns: Int

        /// Describes a sum.
        public init(tensors: [String], columns: Int) {
            (self.tensors, self.columns) = (tensors, columns)
        }
    }

    /// The metadata of `kfacd.partials/1` without format, run, rank, sequence, rows and samples.
    public var metadata: [String: String]
    /// The sums, numbered from 0.
    public var sums: [Sum]

    /// Announces rows.
    public init(metadata: [String: String], sums: [Sum]) {
        (self.metadata, self.sums) = (metadata, sums)
    }

    init(_ wire: WireRowStream) throws(WireError) {
        metadata = wire.metadata
        sums = try list(wire.sums, "the list of sums") { sum throws(WireError) in
            Sum(tensors: sum.tensors, columns: try count(sum.columns, "a number of columns", most: 1 << 30))
        }
    }

    var wire: WireRowStream {
        var wire = WireRowStream()
        wire.metadata = metadata
        wire.sums = sums.map { sum in
            var wire = WireRowSum()
            wire.tensors = sum.tensors
            wire.columns = UInt64(sum.columns)
            return wire
        }
        return wire
    }
}

/// Rows of a stream, whose bytes stand in the second frame.
public struct PushedRows: Equatable, Sendable {
    /// The sum's position in the offer.
    public var sum: Int
    /// The rows of the sum that were sent before.
    public var firstRow: UInt64
    /// The type of the elements.
    public var elementType: ElementType

    /// Describes rows.
    public init(sum: Int, firstRow: UInt64, elementType: ElementType) {
        (self.sum, self.firstRow, self.elementType) = (sum, firstRow, elementType)
    }

    init(_ wire: WirePushRows) throws(WireError) {
        sum = try count(wire.sum, "a sum")
        firstRow = wire.firstRow
        elementType = try word(wire.elementType, "an element type")
    }

    var wire: WirePushRows {
        var wire = WirePushRows()
        wire.sum = UInt32(sum)
        wire.firstRow = firstRow
        wire.elementType = elementType.rawValue
        return wire
    }
}

extension RowSumName {
    init(_ wire: WireRowSumName) throws(WireError) {
        self.init(stream: wire.stream, sum: try count(wire.sum, "a sum"))
    }

    var wire: WireRowSumName {
        var wire = WireRowSumName()
        wire.stream = stream
        wire.sum = UInt32(sum)
        return wire
    }
}

extension RowSumWord {
    init(failed wire: WireRowSumFailed) throws(WireError) {
        var failure = WireUnitFailed()
        (failure.kind, failure.message) = (wire.kind, wire.message)
        self = .failed(try RowSumName(wire.sum), try UnitFailure(failure))
    }

    /// Writes the word as a worker's message.
    func write(to wire: inout WireWorkerMessage) {
        switch self {
        case .taken(let name): wire.rowsTaken.sum = name.wire
        case .failed(let name, let failure):
            wire.rowSumFailed.sum = name.wire
            wire.rowSumFailed.kind = failure.kind.word
            wire.rowSumFailed.message = failure.message
        case .bytes(let name, let offset):
            wire.rowSumChunk.sum = name.wire
            wire.rowSumChunk.offset = offset
        }
    }
}

extension RowSumOrder {
    init(begin wire: WireBeginRowSum) throws(WireError) {
        let columns = try count(wire.columns, "a number of columns", most: 1 << 30)
        guard columns > 0 else { throw .malformed("a sum has no columns") }
        self = .begin(
            try RowSumName(wire.sum),
            RowSumShape(columns: columns, appendsOne: wire.appendsOne, isDiagonal: wire.isDiagonal),
            subject: wire.subject)
    }

    /// Writes the order as a coordinator's message.
    func write(to wire: inout WireCoordinatorMessage) {
        switch self {
        case .begin(let name, let shape, let subject):
            wire.beginRowSum.sum = name.wire
            wire.beginRowSum.columns = UInt64(shape.columns)
            wire.beginRowSum.appendsOne = shape.appendsOne
            wire.beginRowSum.isDiagonal = shape.isDiagonal
            wire.beginRowSum.subject = subject
        case .add(let name, let type):
            wire.addRows.sum = name.wire
            wire.addRows.elementType = type.rawValue
        case .finish(let name): wire.finishRowSum.sum = name.wire
        case .send(let name, let offset, let byteCount):
            wire.sendRowSum.sum = name.wire
            wire.sendRowSum.offset = offset
            wire.sendRowSum.byteCount = UInt32(byteCount)
        case .end(let stream): wire.endRowStream = stream
        }
    }
}
