internal import COpenBLAS

/// The place of a matrix in an array: `[rows, columns]` from an offset on, with rows `stride` elements apart.
public struct MatrixBlock: Equatable, Sendable {
    /// Index of the first element.
    public var offset: Int
    /// Number of rows.
    public var rows: Int
    /// Number of columns.
    public var columns: Int
    /// Distance from one row to the next, in elements; at least `columns`.
    public var stride: Int

    /// Describes a block.
    ///
    /// - Parameters:
    ///   - rows: Number of rows.
    ///   - columns: Number of columns.
    ///   - offset: Index of the first element.
    ///   - stride: Distance from one row to the next; `columns` when nil.
    public init(rows: Int, columns: Int, offset: Int = 0, stride: Int? = nil) {
        self.offset = offset
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }

    /// Number of elements from the array's start to the block's end.
    var end: Int { rows == 0 ? offset : offset + (rows - 1) * stride + columns }

    func shape(_ operation: Transposition) -> (rows: Int, columns: Int) {
        operation == .none ? (rows, columns) : (columns, rows)
    }
}

/// Products of matrices that are blocks of arrays, such as heads of a projection or weights in a parameter vector.
public enum BlockProduct {
    /// `result = scale · op(left) · op(right) + keeping · result`, in fp32.
    ///
    /// A block outside its array, or shapes that do not match, stop the program. This is an error of the caller,
    /// because the shapes come from a model's layout and not from input.
    ///
    /// - Parameters:
    ///   - left: The array with the left factor.
    ///   - leftBlock: Its block in the array.
    ///   - leftOperation: Whether it is transposed.
    ///   - right: The array with the right factor.
    ///   - rightBlock: Its block in the array.
    ///   - rightOperation: Whether it is transposed.
    ///   - result: The array with the result.
    ///   - resultBlock: Its block in the array.
    ///   - scale: A factor of the product.
    ///   - keeping: The factor of the result's former value: 0 replaces it, 1 adds to it.
    public static func multiply(
        _ left: [Float], _ leftBlock: MatrixBlock, _ leftOperation: Transposition = .none,
        _ right: [Float], _ rightBlock: MatrixBlock, _ rightOperation: Transposition = .none,
        into result: inout [Float], _ resultBlock: MatrixBlock, scale: Float = 1, keeping: Float = 0
    ) {
        let (rows, inner) = leftBlock.shape(leftOperation)
        let (found, columns) = rightBlock.shape(rightOperation)
        precondition(inner == found, "products chain")
        precondition(resultBlock.rows == rows && resultBlock.columns == columns, "the result has the product's shape")
        require(leftBlock, in: left)
        require(rightBlock, in: right)
        require(resultBlock, in: result)
        guard rows > 0, columns > 0 else { return }
        unsafe left.withUnsafeBufferPointer { left in
            unsafe right.withUnsafeBufferPointer { right in
                unsafe result.withUnsafeMutableBufferPointer { result in
                    guard let left = left.baseAddress, let right = right.baseAddress, let result = result.baseAddress
                    else { return }
                    unsafe cblas_sgemm(
                        CblasRowMajor, leftOperation.cblas, rightOperation.cblas, blasint(rows), blasint(columns),
                        blasint(inner), scale, left + leftBlock.offset, blasint(leftBlock.stride),
                        right + rightBlock.offset, blasint(rightBlock.stride), keeping, result + resultBlock.offset,
                        blasint(resultBlock.stride))
                }
            }
        }
    }

    private static func require(_ block: MatrixBlock, in array: [Float]) {
        precondition(
            block.offset >= 0 && block.rows >= 0 && block.columns >= 0 && block.stride >= max(1, block.columns)
                && block.stride <= Int(Int32.max) && block.rows <= Int(Int32.max) && block.end <= array.count,
            "a block beyond its array")
    }
}
