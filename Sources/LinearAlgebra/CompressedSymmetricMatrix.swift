/// A symmetric matrix in a ``CompressedForm``: the bytes that a file holds.
///
/// A packed triangle has element (i, j), j ≤ i, of M. All numbers are little-endian.
public struct CompressedSymmetricMatrix: Equatable, Sendable {
    /// The form of the bytes.
    public let form: CompressedForm
    /// Rows and columns.
    public let dimension: Int
    /// The stored bytes.
    public let bytes: [UInt8]

    /// Takes bytes from a file.
    ///
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless they are as many as the form has.
    public init(form: CompressedForm, dimension: Int, bytes: [UInt8]) throws(LinearAlgebraError) {
        _ = try PackedTriangle.elementCount(dimension: dimension)
        try requireLength(
            "the bytes of a matrix as \(form.word.rawValue)", expected: form.byteCount(dimension: dimension),
            found: bytes.count)
        self.form = form
        self.dimension = dimension
        self.bytes = bytes
    }

    /// Compresses a matrix.
    ///
    /// - Parameters:
    ///   - matrix: M, with all its elements and finite.
    ///   - form: The form.
    /// - Throws: ``LinearAlgebraError`` for a diagonal, for missing memory, or for an eigendecomposition that does not
    ///   converge or whose workspace exceeds LAPACK's.
    public init(
        compressing matrix: borrowing PackedSymmetricMatrix<Float>, as form: CompressedForm
    ) throws(LinearAlgebraError) {
        try matrix.requireTriangle()
        self.form = form
        self.dimension = matrix.dimension
        var bytes = [UInt8](repeating: 0, count: form.byteCount(dimension: matrix.dimension))
        let dimension = matrix.dimension
        switch form {
        case .bf16:
            try matrix.withSpan { elements throws(LinearAlgebraError) in
                var span = bytes.mutableSpan
                var target = unsafe span.mutableBytes
                try ElementType.bf16.encode(elements, into: &target)
            }
        case .int8: matrix.withSpan { Self.quantize($0, dimension: dimension, into: &bytes) }
        case .blockDiagonal:
            let blockRows = form.limited(dimension: dimension).blockRows
            try matrix.withSpan { elements throws(LinearAlgebraError) in
                var stored = 0
                for row in 0..<dimension {
                    let packed = Self.blockElements(ofRow: row, blockRows)
                    var span = bytes.mutableSpan
                    var all = unsafe span.mutableBytes
                    var target = all._mutatingExtracting(4 * stored..<4 * (stored + packed.count))
                    try ElementType.f32.encode(elements.extracting(packed), into: &target)
                    stored += packed.count
                }
            }
        case .lowRank: try Self.approximate(matrix, rank: form.limited(dimension: dimension).rank, into: &bytes)
        }
        self.bytes = bytes
    }

    /// The matrix that the bytes stand for, in fp64.
    ///
    /// - Parameter shift: What is added to the diagonal.
    /// - Returns: The matrix with all its elements.
    /// - Throws: ``LinearAlgebraError`` for missing memory. Elements may be infinite or NaN if the bytes are damaged.
    public func decoded(shift: Double = 0) throws(LinearAlgebraError) -> PackedSymmetricMatrix<Double> {
        let (blockRows, rank) = form.limited(dimension: dimension)
        var matrix = try decoded(blockRows, rank)
        if shift != 0 {
            matrix.withMutableSpan { elements in
                for row in 0..<dimension { elements[PackedTriangle.diagonalOffset(row)] += shift }
            }
        }
        return matrix
    }

    private func decoded(_ blockRows: Int, _ rank: Int) throws(LinearAlgebraError) -> PackedSymmetricMatrix<Double> {
        if case .lowRank = form { return try decodedLowRank(rank) }
        var matrix = try PackedSymmetricMatrix<Double>(dimension: dimension)
        let source = unsafe bytes.span.bytes
        try matrix.withMutableSpan { elements throws(LinearAlgebraError) in
            switch form {
            case .bf16: try ElementType.bf16.decode(source, into: &elements)
            case .int8: Self.dequantize(bytes.span, dimension: dimension, into: &elements)
            case .blockDiagonal:
                var stored = 0
                for row in 0..<dimension {
                    let packed = Self.blockElements(ofRow: row, blockRows)
                    var target = elements._mutatingExtracting(packed)
                    try ElementType.f32.decode(
                        source.extracting(4 * stored..<4 * (stored + packed.count)), into: &target)
                    stored += packed.count
                }
            case .lowRank: break
            }
        }
        return matrix
    }
}

// MARK: - Blocks

extension CompressedSymmetricMatrix {
    /// The elements of a row that lie in its block, as positions in the packed triangle.
    private static func blockElements(ofRow row: Int, _ blockRows: Int) -> Range<Int> {
        let end = PackedTriangle.diagonalOffset(row) + 1
        return end - row % blockRows - 1..<end
    }
}

// MARK: - Integers

extension CompressedSymmetricMatrix {
    /// The largest magnitude of an integer: the range is symmetric.
    private static var largestInteger: Float { 127 }

    /// The groups of a row, each as its elements' positions in the packed triangle.
    private static func groups(ofRow row: Int) -> some Sequence<Range<Int>> {
        let end = PackedTriangle.offset(ofRow: row + 1)
        return stride(from: PackedTriangle.offset(ofRow: row), to: end, by: CompressedForm.groupSize).lazy
            .map { $0..<min($0 + CompressedForm.groupSize, end) }
    }

    /// Stores the scales in fp32, and behind them the integers: m ≈ scale · q, with scale = max |m| / 127.
    private static func quantize(_ elements: Span<Float>, dimension: Int, into bytes: inout [UInt8]) {
        let start = 4 * CompressedForm.groupCount(dimension: dimension)
        var place = 0
        for row in 0..<dimension {
            for range in groups(ofRow: row) {
                var largest = Float(0)
                for index in range { largest = max(largest, elements[index].magnitude) }
                let scale = largest / largestInteger
                for shift in stride(from: UInt32(0), to: 32, by: 8) {
                    bytes[place] = UInt8(truncatingIfNeeded: scale.bitPattern >> shift)
                    place += 1
                }
                guard scale > 0, scale.isFinite else { continue }
                for index in range {
                    let steps = (elements[index] / scale).rounded(.toNearestOrEven)
                    let integer = Int8(max(-largestInteger, min(largestInteger, steps)))
                    bytes[start + index] = UInt8(bitPattern: integer)
                }
            }
        }
    }

    private static func dequantize(
        _ bytes: Span<UInt8>, dimension: Int, into elements: inout MutableSpan<Double>
    ) {
        let start = 4 * CompressedForm.groupCount(dimension: dimension)
        var place = 0
        for row in 0..<dimension {
            for range in groups(ofRow: row) {
                var pattern: UInt32 = 0
                for shift in stride(from: UInt32(0), to: 32, by: 8) {
                    pattern |= UInt32(bytes[place]) << shift
                    place += 1
                }
                let scale = Double(Float(bitPattern: pattern))
                for index in range { elements[index] = scale * Double(Int8(bitPattern: bytes[start + index])) }
            }
        }
    }
}

// MARK: - Outer products and a diagonal

extension CompressedSymmetricMatrix {
    /// Stores w_1, …, w_r and d in fp32: M ≈ Σ w_k w_kᵀ + diag(d), with the diagonal of M.
    ///
    /// w_k = √(λ_k − c) q_k for the r largest eigenvalues, with c the mean of the others, as in probabilistic principal
    /// components (Tipping & Bishop 1999, equation 7). So a matrix of rank r plus a multiple of the identity is kept
    /// exactly. No λ_k − c and no d is negative if M is semi-definite, and those that are become 0.
    private static func approximate(
        _ matrix: borrowing PackedSymmetricMatrix<Float>, rank: Int, into bytes: inout [UInt8]
    ) throws(LinearAlgebraError) {
        let dimension = matrix.dimension
        var rest = matrix.diagonal.map(Double.init)
        var products = try Matrix<Float>(rows: rank + 1, columns: dimension)
        if rank > 0 {
            let eigen = try SymmetricEigen(decomposing: matrix.unpackedLower())
            let others = eigen.values.dropLast(rank)
            let noise = others.isEmpty ? 0 : max(0, others.reduce(0, +) / Double(others.count))
            let values = eigen.values
            let vectors = eigen.intoVectors()
            try products.withMutableSpan { target throws(LinearAlgebraError) in
                vectors.withSpan { vectors in
                    for product in 0..<rank {
                        let position = dimension - 1 - product
                        let length = max(0, values[position] - noise).squareRoot()
                        for column in 0..<dimension {
                            let element = Float(length * vectors[position * dimension + column])
                            target[product * dimension + column] = element
                            rest[column] -= Double(element) * Double(element)
                        }
                    }
                }
            }
        }
        products.withMutableSpan { target in
            for column in 0..<dimension { target[rank * dimension + column] = Float(max(0, rest[column])) }
        }
        try products.withSpan { elements throws(LinearAlgebraError) in
            var span = bytes.mutableSpan
            var target = unsafe span.mutableBytes
            try ElementType.f32.encode(elements, into: &target)
        }
    }

    private func decodedLowRank(_ rank: Int) throws(LinearAlgebraError) -> PackedSymmetricMatrix<Double> {
        let source = unsafe bytes.span.bytes
        let productBytes = 4 * rank * dimension
        var products = try Matrix<Double>(rows: rank, columns: dimension)
        try products.withMutableSpan { target throws(LinearAlgebraError) in
            try ElementType.f32.decode(source.extracting(0..<productBytes), into: &target)
        }
        var diagonal = [Double](repeating: 0, count: dimension)
        var span = diagonal.mutableSpan
        try ElementType.f32.decode(source.extracting(productBytes..<bytes.count), into: &span)
        var square = try Matrix<Double>(rows: dimension, columns: dimension)
        try square.addGramMatrix(of: products, .columns)
        for row in 0..<dimension { square[row, row] += diagonal[row] }
        return try PackedSymmetricMatrix(packing: square)
    }
}
