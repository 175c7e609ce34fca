public import LinearAlgebra

/// What an adapter adds to a stored tensor: scale · up · down, formed when the tensor is read.
///
/// The sum of the tensor and its update is formed in fp64 and never stored. So the task vector is the update, whatever
/// the base's type is.
///
/// Source: DESIGN section 2.5.
public struct LowRankUpdate: Hashable, Sendable {
    /// One factor, whole, in the file of the adapter.
    public struct Factor: Hashable, Sendable {
        /// The element type.
        public var elementType: ElementType
        /// Its bytes.
        public var slice: FileSlice

        /// Describes a factor.
        public init(elementType: ElementType, slice: FileSlice) {
            self.elementType = elementType
            self.slice = slice
        }
    }

    /// LoRA's B: `[rows, rank]`, or `[columns, rank]` of a transposed update.
    public var up: Factor
    /// LoRA's A: `[rank, columns]`, or `[rank, rows]` of a transposed update; `nil` for a one, of a bias.
    public var down: Factor?
    /// Rows of the tensor as a matrix: its first extent.
    public var rows: Int
    /// Columns of the tensor as a matrix: all its other extents.
    public var columns: Int
    /// The number that the factors share.
    public var rank: Int
    /// The factor of the product.
    public var scale: Double
    /// Whether the tensor stores the product transposed.
    public var isTransposed: Bool
    /// The position in the tensor of the first element that is read.
    public var firstElement: Int

    /// Describes an update of a whole tensor.
    public init(
        up: Factor, down: Factor?, rows: Int, columns: Int, rank: Int, scale: Double, isTransposed: Bool = false,
        firstElement: Int = 0
    ) {
        self.up = up
        self.down = down
        self.rows = rows
        self.columns = columns
        self.rank = rank
        self.scale = scale
        self.isTransposed = isTransposed
        self.firstElement = firstElement
    }

    /// The slices of files that it reads.
    public var slices: [FileSlice] { [up.slice] + (down.map { [$0.slice] } ?? []) }

    /// Whether the factors have as many bytes as the tensor's extents and the rank need.
    public var hasWholeFactors: Bool {
        func isWhole(_ factor: Factor, _ extent: Int) -> Bool {
            factor.slice.byteCount == UInt64(extent * rank) * UInt64(factor.elementType.byteCount)
        }
        let (outputs, inputs) = isTransposed ? (columns, rows) : (rows, columns)
        return isWhole(up, outputs) && (down.map { isWhole($0, inputs) } ?? (rank == 1 && inputs == 1))
    }

    /// Bytes of the factors in memory, while ``product(up:down:)`` turns what was read into fp64.
    ///
    /// A transposed product is a second copy.
    public var memoryBytes: UInt64 {
        let values = UInt64(saturating: Double(rank) * (Double(rows) + Double(columns)) * 8)
        return slices.reduce(values.saturatingProduct(isTransposed ? 2 : 1)) { $0.saturatingSum($1.byteCount) }
    }

    /// Bytes of the factors of one model's updates, of which each is read alone.
    static func memoryBytes(of models: [ParameterSources]) -> UInt64 {
        models.joined().compactMap(\.update?.memoryBytes).max() ?? 0
    }

    /// Multiply-adds of forming all models' updates once.
    static func multiplyAdds(of models: [ParameterSources]) -> Double {
        models.joined().reduce(0) { $0 + Double($1.update?.rank ?? 0) * Double($1.elementCount) }
    }

    /// The product of the factors' bytes.
    ///
    /// - Parameters:
    ///   - up: The bytes of ``up``.
    ///   - down: The bytes of ``down``; empty without it.
    /// - Returns: The product, in fp64.
    /// - Throws: `LinearAlgebraError` for other numbers of bytes.
    public func product(up: [UInt8], down: [UInt8]) throws(LinearAlgebraError) -> LowRankProduct {
        try LowRankProduct(
            up: try Self.values(up, self.up.elementType),
            down: try self.down.map { factor throws(LinearAlgebraError) in try Self.values(down, factor.elementType) }
                ?? [1],
            rows: rows, columns: columns, rank: rank, scale: scale, isTransposed: isTransposed)
    }

    private static func values(_ bytes: [UInt8], _ type: ElementType) throws(LinearAlgebraError) -> [Double] {
        var values = [Double](repeating: 0, count: bytes.count / type.byteCount)
        var target = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &target)
        return values
    }
}

extension LowRankUpdate {
    /// Reads what ``wire(_:)`` wrote.
    ///
    /// - Parameters:
    ///   - wire: The message.
    ///   - elements: The number of the tensor's elements that are read, with the gaps between them.
    ///   - files: The numbering of files.
    /// - Throws: ``OperationError`` for sizes that contradict each other.
    init(_ wire: WireLowRankUpdate, elements: UInt64, _ files: FileNumbering) throws(OperationError) {
        let rows = try count(wire.rows, "the rows of an update")
        let columns = try count(wire.columns, "the columns of an update", most: OperationLimits.elementsMax)
        let rank = try count(wire.rank, "the rank of an update")
        let first = try count(wire.firstElement, "the first element of an update", most: OperationLimits.elementsMax)
        let (size, overflow) = rows.multipliedReportingOverflow(by: columns)
        guard !overflow, rank > 0, size <= OperationLimits.elementsMax, elements <= UInt64(OperationLimits.elementsMax),
            first + Int(elements) <= size
        else { throw .malformed("an update of [\(rows), \(columns)] with rank \(rank) begins at element \(first)") }
        guard wire.scale.isFinite else { throw .malformed("the scale of an update is not finite") }
        // The sizes of the factors are checked when they are read.
        let (elements, isTooLarge) = max(rows, columns).multipliedReportingOverflow(by: rank)
        guard !isTooLarge, elements <= OperationLimits.elementsMax else {
            throw .malformed("the factors of an update are \(max(rows, columns)) times \(rank)")
        }
        self.init(
            up: try Factor(wire.up, files), down: wire.hasDown ? try Factor(wire.down, files) : nil, rows: rows,
            columns: columns, rank: rank, scale: wire.scale, isTransposed: wire.transposed, firstElement: first)
    }

    /// Writes every field down.
    func wire(_ files: inout FileNumbering) -> WireLowRankUpdate {
        var wire = WireLowRankUpdate()
        wire.up = up.wire(&files)
        if let down { wire.down = down.wire(&files) }
        wire.rows = UInt64(rows)
        wire.columns = UInt64(columns)
        wire.rank = UInt64(rank)
        wire.scale = scale
        wire.transposed = isTransposed
        wire.firstElement = UInt64(firstElement)
        return wire
    }
}

extension LowRankUpdate.Factor {
    fileprivate init(_ wire: WireLowRankFactor, _ files: FileNumbering) throws(OperationError) {
        self.init(
            elementType: try word(wire.elementType, "an element type"), slice: try FileSlice(wire.slice, files))
    }

    fileprivate func wire(_ files: inout FileNumbering) -> WireLowRankFactor {
        var wire = WireLowRankFactor()
        wire.elementType = elementType.rawValue
        wire.slice = slice.wire(&files)
        return wire
    }
}
