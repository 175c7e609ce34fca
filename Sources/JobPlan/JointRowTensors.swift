public import UnitOperations

/// The joint rows of a finished set or of one file of partial sums, by layer and side; those of a parameter by its full
/// block.
public struct JointRowTensors: Equatable, Sendable {
    /// A tensor of F32.
    public struct Tensor: Equatable, Sendable {
        /// The shape, outermost first.
        public var shape: [Int]
        /// Its bytes.
        public var slice: FileSlice

        /// Describes a tensor.
        public init(shape: [Int], slice: FileSlice) {
            self.shape = shape
            self.slice = slice
        }
    }

    /// The rows.
    public var rows: [FactorName: Tensor] = [:]
    /// The mean squares by position.
    public var squares: [FactorName: Tensor] = [:]
    /// The rows of the constant; `nil` if there are none.
    public var constant: Tensor?
    /// The square of the constant; `nil` if there are none.
    public var constantSquares: Tensor?
    /// The share of the trace that the rows keep: of the inputs, of the gradients.
    public var kept: [Double] = []
    /// The codebook by which positions were pooled; `nil` if they were not.
    public var codebook: String?
    /// The rows of a sample in each layer whose positions were pooled.
    public var pooledRows: [String: Double] = [:]

    /// No rows yet.
    public init() {}
}
