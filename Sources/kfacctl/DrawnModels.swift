import CostEstimate
import LinearAlgebra
import TaskArithmetic

/// A base and models near it, of drawn numbers, as they would be stored in files.
struct DrawnModels {
    /// One tensor as it is stored.
    struct Stored {
        let type: ElementType
        let storage: [UInt8]

        fileprivate init(_ values: [Float], _ type: ElementType) throws {
            var storage = [UInt8](repeating: 0, count: values.count * type.byteCount)
            var span = storage.mutableSpan
            var target = span.mutableBytes
            try type.encode(values.span, into: &target)
            (self.type, self.storage) = (type, storage)
        }

        /// The place of some elements in the storage.
        func place(of elements: Range<Int>) -> Range<Int> {
            elements.lowerBound * type.byteCount..<elements.upperBound * type.byteCount
        }
    }

    let elementCount: Int
    let base: Stored
    /// The models, in the order of the sample.
    let models: [Stored]

    /// Draws the models of a sample in a shape.
    ///
    /// - Throws: `LinearAlgebraError` when memory is short.
    init(of sample: MergeSample, shape: MergeProblem.Shape) throws {
        let count = shape.rows * shape.columns
        let origin = Self.draw(count, seed: 1)
        elementCount = count
        base = try Stored(origin, sample.baseType ?? sample.outputType)
        models = try sample.models.enumerated().map { position, model in
            let change = Self.draw(count, seed: UInt64(position + 2))
            return try Stored(zip(origin, change).map { $0 + $1 / 16 }, model.type)
        }
    }

    /// Numbers from -1 to 1 of Marsaglia's generator xorshift64.
    private static func draw(_ count: Int, seed: UInt64) -> [Float] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
        }
    }

    /// Fills a block with some elements of every model, less the base's where that is asked for.
    func fill(
        _ block: inout ModelBlock, _ elements: Range<Int>, _ scratch: inout Matrix<Double>, subtractsBase: Bool
    ) throws {
        if subtractsBase {
            try scratch.withMutablePrefix(elements.count) { values throws in
                try base.type.decode(base.storage.span.bytes.extracting(base.place(of: elements)), into: &values)
            }
        }
        for (position, model) in models.enumerated() {
            try block.withMutableValues(of: position) { (values: inout MutableSpan<Double>) throws in
                try model.type.decode(model.storage.span.bytes.extracting(model.place(of: elements)), into: &values)
                guard subtractsBase else { return }
                try scratch.withSpan { base throws in
                    try VectorOperations.add(base.extracting(first: elements.count), times: -1, to: &values)
                }
            }
        }
    }

    /// The values of a model, less the base's where that is asked for.
    func matrix(_ position: Int, _ shape: MergeProblem.Shape, subtractsBase: Bool) throws -> Matrix<Double> {
        let model = models[position]
        var matrix = try Matrix<Double>(rows: shape.rows, columns: shape.columns)
        try matrix.withMutableSpan { try model.type.decode(model.storage.span.bytes, into: &$0) }
        guard subtractsBase else { return matrix }
        var origin = try Matrix<Double>(rows: shape.rows, columns: shape.columns)
        try origin.withMutableSpan { try base.type.decode(base.storage.span.bytes, into: &$0) }
        try origin.withSpan { origin throws in
            try matrix.withMutableSpan { try VectorOperations.add(origin, times: -1, to: &$0) }
        }
        return matrix
    }

    /// Positive definite factors, or inverses, of a model; other ones for each model.
    static func factors(of shape: MergeProblem.Shape, _ position: Int) throws -> TaskFactors {
        func factor(_ shape: SymmetricShape) throws -> TaskFactor {
            var factor = try PackedSymmetricMatrix<Float>(shape: shape)
            for row in 0..<shape.dimension {
                factor[row, row] = 1 + Float((row + 1) * (position + 1) % 7) / 7
            }
            return .single(factor)
        }
        switch shape {
        case .matrix: return .none
        case .layer(let outputs, let inputs):
            return .layer(LayerFactors(input: try factor(inputs), gradient: try factor(outputs)))
        case .parameter(let count): return .parameter(try factor(.full(count)))
        }
    }
}
