public import Identifiers
public import LinearAlgebra
public import TaskArithmetic

/// What one unit merges: a block with its factors, or a whole tensor without.
public enum MergedParameters: Hashable, Sendable {
    /// A layer or another parameter with factors.
    case block(CurvatureBlock.Kind)
    /// A matrix, or a tensor of another shape as one row.
    case tensor(rows: Int, columns: Int)

    /// A whole tensor of some shape; it has elements.
    public init(tensorOfShape shape: [Int]) {
        self =
            shape.count == 2
            ? .tensor(rows: shape[0], columns: shape[1]) : .tensor(rows: 1, columns: shape.reduce(1, *))
    }

    /// The matrices that are read of every task: A and B of a layer, F of a parameter, none of a tensor.
    public var factors: [(side: FactorSide, shape: SymmetricShape)] {
        if case .block(let kind) = self { kind.factors } else { [] }
    }

    /// The shape of the merge.
    public var shape: MergeProblem.Shape {
        switch self {
        case .block(let kind): kind.mergeShape
        case .tensor(let rows, let columns): .matrix(rows: rows, columns: columns)
        }
    }

    /// Number of the checkpoint's parameters that it covers.
    public var count: Int {
        if case .block(let kind) = self { kind.parameterCount } else { 1 }
    }

    /// The parameters that it covers, in words for messages.
    ///
    /// - Parameter subject: The block's or the tensor's name.
    /// - Returns: A phrase for each parameter, in the order of the blobs.
    public func descriptions(of subject: String) -> [String] {
        switch self {
        case .block(let kind) where kind.factors.count > 1:
            ["the weight of \"\(subject)\"", "the bias of \"\(subject)\""].prefix(kind.parameterCount).map { $0 }
        case .block, .tensor: ["tensor \"\(subject)\""]
        }
    }
}

// MARK: - Sizes

extension MergedParameters {
    /// Elements of the merged matrix.
    var elementCount: UInt64 { UInt64(shape.rows).saturatingProduct(UInt64(shape.columns)) }

    /// Bytes of one task's factors, as they are stored.
    var packedBytes: UInt64 { factors.reduce(UInt64(0)) { $0.saturatingSum($1.shape.storedBytes) } }

    /// Bytes of a tensor that are read or written at once, of up to eight bytes an element.
    var wholeBytes: UInt64 {
        if case .tensor = self { elementCount.saturatingProduct(8) } else { 0 }
    }
}

// MARK: - Encoding

extension MergedParameters {
    init(_ wire: WireMergeOperation.OneOf_Parameters?) throws(OperationError) {
        switch wire {
        case .block(let block): self = .block(try CurvatureBlock.Kind(block))
        case .tensor(let shape):
            let rows = try dimension(shape.rows)
            let columns = try dimension(shape.columns)
            let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
            guard !overflow, (1...OperationLimits.elementsMax).contains(elements) else {
                throw .malformed("a tensor is [\(rows), \(columns)]")
            }
            self = .tensor(rows: rows, columns: columns)
        case nil: throw .malformed("a merge has neither a block nor a tensor")
        }
    }
}

private func dimension(_ value: UInt64) throws(OperationError) -> Int {
    try count(value, "a dimension", most: OperationLimits.elementsMax)
}
