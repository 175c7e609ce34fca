import KroneckerFactors
import LinearAlgebra

extension UInt64 {
    /// Bytes of a packed fp32 triangle.
    static func packed(_ dimension: Int) -> UInt64 {
        // One of the two factors is even: halving before multiplying by 4 bytes loses nothing.
        UInt64(dimension).saturatingProduct(UInt64(dimension).saturatingSum(1)).saturatingProduct(2)
    }
    /// Bytes of a square of fp32.
    static func square(_ dimension: Int) -> UInt64 {
        UInt64(dimension).saturatingProduct(UInt64(dimension)).saturatingProduct(4)
    }
    /// Bytes of a square of fp64.
    static func squareDouble(_ dimension: Int) -> UInt64 { square(dimension).saturatingProduct(2) }
}

extension UnitCost {
    /// Bytes that a streaming operation holds at once, whatever the size of what streams.
    static let streamingBytes: UInt64 = 64 << 20

    /// Bytes of a range of elements that streams, one for each factor that is read at once.
    private static let streamedRowBytes: UInt64 = 1 << 20

    /// A unit that streams: its memory does not depend on the tensor's size, only on how many stream at once.
    static func streaming(inputBytes: UInt64, outputBytes: UInt64, rows: Int = 0) -> UnitCost {
        UnitCost(
            multiplyAdds: 0, inputBytes: inputBytes, outputBytes: outputBytes,
            memoryBytes: streamingBytes.saturatingSum(streamedRowBytes.saturatingProduct(UInt64(rows))))
    }

    /// A factor: d² multiply-adds a row.
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

    /// Optimal sums: for each target and Kronecker product every task's factors, in ranges.
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

    /// An inverse: n³ multiply-adds in fp64, which count double.
    static func inversion(dimension: Int) -> UnitCost {
        let memory = MemoryEstimate.inverse(dimension: dimension)
        return UnitCost(
            multiplyAdds: 2 * Double(dimension) * Double(dimension) * Double(dimension), inputBytes: .packed(dimension),
            outputBytes: .packed(dimension), memoryBytes: UInt64(clamping: memory).saturatingSum(streamingBytes))
    }

    /// A finished factor: a Cholesky factorization in fp64, n³/3 multiply-adds that count double, is its proof.
    static func factorImport(inputBytes: UInt64, dimension: Int) -> UnitCost {
        UnitCost(
            multiplyAdds: 2 / 3 * Double(dimension) * Double(dimension) * Double(dimension), inputBytes: inputBytes,
            outputBytes: .packed(dimension),
            memoryBytes: UInt64.squareDouble(dimension).saturatingSum(streamingBytes))
    }

    /// Penalties: two products a task vector, with both factors as fp64 squares.
    static func penalty(block: CurvatureBlock, taskVectors: Int) -> UnitCost {
        let (matrix, squares, packed, products) = shape(of: block)
        return UnitCost(
            multiplyAdds: 2 * Double(taskVectors) * products,
            inputBytes: packed.saturatingSum(matrix.saturatingProduct(UInt64(taskVectors + 1) * 4)), outputBytes: 0,
            memoryBytes: squares.saturatingSum(packed).saturatingSum(matrix.saturatingProduct(5 * 8))
                .saturatingSum(streamingBytes))
    }

    /// The `kfac` merge: two products a task, two solves and one product more, which counts as much as two at most.
    ///
    /// At its peak, while the products are made: both means as fp64 triangles, the smaller one's factorization and the
    /// square of the side that is multiplied with, and one task's factors; θ_0, a task vector, its product and three
    /// sums. A layer's factors are read twice.
    static func blockMerge(block: CurvatureBlock, tasks: Int) -> UnitCost {
        let (matrix, squares, packed, products) = shape(of: block)
        let passes: UInt64 = block.factors.count == 2 ? 2 : 1
        return UnitCost(
            multiplyAdds: 2 * Double(tasks + 2) * products,
            inputBytes: packed.saturatingProduct(UInt64(tasks) * passes)
                .saturatingSum(matrix.saturatingProduct(UInt64(tasks + 1) * 4)),
            outputBytes: matrix.saturatingProduct(4),
            memoryBytes: squares.saturatingSum(packed.saturatingProduct(3))
                .saturatingSum(matrix.saturatingProduct(6 * 8)).saturatingSum(streamingBytes))
    }

    /// Elements of the block's matrix, bytes of its factors as fp64 squares and as fp32 triangles, and the
    /// multiply-adds of one product with each side.
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
