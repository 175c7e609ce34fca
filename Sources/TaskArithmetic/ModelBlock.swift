import LinearAlgebra

/// The values of consecutive elements of every model, in fp64.
public struct ModelBlock: ~Copyable, Sendable {
    /// The most elements of each model that are read at a time, to be measured block by block.
    public static let readElementsMax = 1 << 18
    /// The most bytes of all models of a tensor that are kept from one pass to the next.
    public static let keptBytesMax = 96 << 20
    /// The most elements of a block.
    public static let capacity = 4096

    /// The number of models.
    public let modelCount: Int
    /// The first element's position in the tensor, or in the part that is merged.
    public private(set) var first = 0
    /// The number of elements.
    public private(set) var count = 0
    private let capacity: Int
    private var values: Matrix<Double>

    /// Makes room for blocks of some models.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(models: Int, capacity: Int = Self.capacity) throws(TaskArithmeticError) {
        modelCount = models
        self.capacity = capacity
        values = try Matrix<Double>.zeros(models, capacity)
    }

    /// Begins a block; its values are those of the last block until they are written.
    ///
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``.
    public mutating func begin(at first: Int, count: Int) throws(TaskArithmeticError) {
        guard count <= capacity else { throw .rangeExceedsCapacity(elements: count, capacity: capacity) }
        self.first = first
        self.count = count
    }

    /// Lends a model's values, for writing.
    ///
    /// - Throws: What `body` throws.
    public mutating func withMutableValues<Failure: Error>(
        of model: Int, _ body: (inout MutableSpan<Double>) throws(Failure) -> Void
    ) throws(Failure) {
        let (start, count) = (model * capacity, count)
        try values.withMutableSpan { (values: inout MutableSpan<Double>) throws(Failure) in
            var own = values._mutatingExtracting(start..<start + count)
            try body(&own)
        }
    }

    /// Lends a model's values.
    ///
    /// - Throws: What `body` throws.
    public func withValues<Result, Failure: Error>(
        of model: Int, _ body: (Span<Double>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try values.withSpan { (values: Span<Double>) throws(Failure) -> Result in
            try body(values.extracting(model * capacity..<model * capacity + count))
        }
    }
}
