import KroneckerFactors
import LinearAlgebra
import TaskArithmetic

extension UInt64 {
    // Dimensions come from file headers, which may be hostile or sparse, so no product of them may trap.

    /// Bytes of a packed fp32 triangle.
    static func packed(_ dimension: Int) -> UInt64 {
        // One of the two factors is even, so halving before multiplying by 4 bytes is exact.
        UInt64(dimension).saturatingProduct(UInt64(dimension).saturatingSum(1)).saturatingProduct(2)
    }
    /// Bytes of a square of fp32.
    static func square(_ dimension: Int) -> UInt64 {
        UInt64(dimension).saturatingProduct(UInt64(dimension)).saturatingProduct(4)
    }
    /// Bytes of a square of fp64.
    static func squareDouble(_ dimension: Int) -> UInt64 { square(dimension).saturatingProduct(2) }

    /// The product, or the largest number on overflow.
    func saturatingProduct(_ other: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }

    /// The whole part of a number that is not negative, or the largest number on overflow.
    init(saturating value: Double) { self = value < 0x1p64 ? UInt64(value) : .max }

    /// The sum, or the largest number on overflow.
    func saturatingSum(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension UnitCost {
    /// The memory of a streaming operation in bytes, independent of the stream's size.
    static let streamingBytes: UInt64 = 64 << 20

    /// Bytes of one streamed range of elements; each factor that is read at once needs one.
    private static let streamedRowBytes: UInt64 = 1 << 20

    /// The cost of a streaming unit.
    ///
    /// Its memory depends only on the number of parallel streams, not on the tensor's size.
    static func streaming(inputBytes: UInt64, outputBytes: UInt64, rows: Int = 0) -> UnitCost {
        UnitCost(
            multiplyAdds: 0, inputBytes: inputBytes, outputBytes: outputBytes,
            memoryBytes: streamingBytes.saturatingSum(streamedRowBytes.saturatingProduct(UInt64(rows))))
    }

    /// The cost of a factor: d² multiply-adds for each row.
    init(of operation: FactorOperation) {
        let dimension = operation.dimension
        let memory = MemoryEstimate.accumulation(
            dimension: dimension, chunkRows: operation.chunkRows, elementType: operation.elementType,
            reducesPositions: operation.reduction != .none)
        self.init(
            multiplyAdds: Double(dimension) * Double(dimension) * Double(operation.rows),
            inputBytes: UInt64(operation.rows).saturatingProduct(UInt64(operation.columns))
                .saturatingProduct(UInt64(operation.elementType.byteCount)),
            outputBytes: UInt64.packed(dimension).saturatingProduct(operation.divisor == nil ? 2 : 1),
            memoryBytes: UInt64(clamping: memory).saturatingSum(Self.streamingBytes))
    }

    /// The cost of optimal sums: every task's factors, in ranges, for each target and Kronecker product.
    init(of operation: OptimalAccumulateOperation<UnitOutput>) {
        let sums = UInt64(operation.exclusions.count).saturatingProduct(UInt64(operation.rank))
        let sides = [operation.input, operation.gradient].map { side in
            (
                input: UInt64.packed(side.dimension).saturatingProduct(UInt64(side.factors.count)),
                output: UInt64.packed(side.dimension).saturatingProduct(sums)
            )
        }
        let inputBytes = sides[0].input.saturatingSum(sides[1].input)
        self.init(
            multiplyAdds: Double(inputBytes) / 4 * Double(sums), inputBytes: inputBytes,
            outputBytes: sides[0].output.saturatingSum(sides[1].output),
            memoryBytes: Self.streaming(inputBytes: 0, outputBytes: 0, rows: operation.weights.count).memoryBytes)
    }

    /// The cost of an inverse: n³ multiply-adds in fp64, which count double.
    static func inversion(dimension: Int) -> UnitCost {
        let memory = MemoryEstimate.inverse(dimension: dimension)
        return UnitCost(
            multiplyAdds: 2 * Double(dimension) * Double(dimension) * Double(dimension), inputBytes: .packed(dimension),
            outputBytes: .packed(dimension), memoryBytes: UInt64(clamping: memory).saturatingSum(streamingBytes))
    }

    /// The cost of importing a factor.
    ///
    /// A Cholesky factorization in fp64 checks it: n³/3 multiply-adds that count double.
    static func factorImport(inputBytes: UInt64, dimension: Int) -> UnitCost {
        UnitCost(
            multiplyAdds: 2 / 3 * Double(dimension) * Double(dimension) * Double(dimension), inputBytes: inputBytes,
            outputBytes: .packed(dimension),
            memoryBytes: UInt64.squareDouble(dimension).saturatingSum(streamingBytes))
    }

    /// The cost of penalties: two products for each task vector, with both factors as fp64 squares.
    static func penalty(block: CurvatureBlock, taskVectors: Int) -> UnitCost {
        let (matrix, squares, packed, products) = shape(of: block)
        return UnitCost(
            multiplyAdds: 2 * Double(taskVectors) * products,
            inputBytes: packed.saturatingSum(matrix.saturatingProduct(UInt64(taskVectors + 1) * 4)), outputBytes: 0,
            memoryBytes: squares.saturatingSum(packed).saturatingSum(matrix.saturatingProduct(5 * 8))
                .saturatingSum(streamingBytes))
    }

    /// The merge of a block, as its computation states it, and what is read of every task in its passes.
    static func blockMerge(
        block: CurvatureBlock, tasks: Int, _ computation: any (StreamedComputation & ~Copyable).Type
    ) -> UnitCost {
        let (matrix, _, packed, _) = shape(of: block)
        let cost = computation.cost(of: block.mergeShape, models: tasks)
        let (factorPasses, valuePasses) = (UInt64(cost.factorPasses), UInt64(cost.valuePasses))
        return UnitCost(
            multiplyAdds: cost.multiplyAdds,
            inputBytes: packed.saturatingProduct(UInt64(tasks).saturatingProduct(factorPasses))
                .saturatingSum(
                    matrix.saturatingProduct(UInt64(tasks).saturatingProduct(valuePasses).saturatingSum(1))
                        .saturatingProduct(4)),
            outputBytes: matrix.saturatingProduct(4),
            memoryBytes: UInt64(saturating: cost.numbers * 8).saturatingSum(streamingBytes))
    }

    /// The block's elements, the bytes of its factors as fp64 squares and as fp32 triangles, and the multiply-adds of
    /// one product with each side.
    private static func shape(
        of block: CurvatureBlock
    ) -> (matrix: UInt64, squares: UInt64, packed: UInt64, products: Double) {
        let dimensions = block.factors.map(\.dimension)
        let squares = dimensions.reduce(UInt64(0)) { $0.saturatingSum(.squareDouble($1)) }
        let packed = dimensions.reduce(UInt64(0)) { $0.saturatingSum(.packed($1)) }
        guard dimensions.count == 2 else {
            let dimension = Double(dimensions[0])
            return (UInt64(dimensions[0]), squares, packed, dimension * dimension)
        }
        let (inputs, outputs) = (Double(dimensions[0]), Double(dimensions[1]))
        return (
            UInt64(dimensions[0]).saturatingProduct(UInt64(dimensions[1])), squares, packed,
            outputs * inputs * (inputs + outputs)
        )
    }
}
