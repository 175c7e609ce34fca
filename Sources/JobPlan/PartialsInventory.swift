public import Identifiers
public import KroneckerFactors
public import LinearAlgebra
public import UnitOperations

/// The partial sums of one task: files of many ranks and flushes that together become its factors.
public struct PartialsInventory: Equatable, Sendable {
    /// A matrix that is summed over the files.
    public struct Sum: Equatable, Sendable {
        /// The matrix's rows and columns, and whether the files hold its diagonal only.
        public var shape: SymmetricShape
        /// `F32` or `F64`.
        public var elementType: ElementType
        /// The packed triangles or the diagonals, in the order of the sum.
        public var slices: [FileSlice]

        /// Describes a sum.
        public init(shape: SymmetricShape, elementType: ElementType, slices: [FileSlice]) {
            self.shape = shape
            self.elementType = elementType
            self.slices = slices
        }
    }

    /// What was summed for one layer or parameter, over all files.
    public struct Counts: Equatable, Sendable {
        /// Rows of the layer's input; 0 for a parameter.
        public var rows: Int
        /// N.
        public var samples: Int

        /// States counts.
        public init(rows: Int, samples: Int) {
            self.rows = rows
            self.samples = samples
        }
    }

    /// The joint rows of one file.
    public struct JointPart: Equatable, Sendable {
        /// The tensors, as those of a finished set of the file's samples.
        public var tensors: JointRowTensors
        /// N of the file.
        public var samples: Int

        /// Describes the joint rows of a file.
        public init(tensors: JointRowTensors, samples: Int) {
            self.tensors = tensors
            self.samples = samples
        }
    }

    /// The convention that the sums were made for; `tak` and `expand` have the same sums.
    public var normalization: FactorNormalization
    /// M.
    public var probes: Int
    /// Whether A's last row and column belong to the bias, by layer.
    public var hasBias: [String: Bool]
    /// How a layer's weight is stored, by layer; layers without an entry have ``WeightLayout/outIn``.
    public var layouts: [String: WeightLayout]
    /// The counts by layer or parameter.
    public var counts: [String: Counts]
    /// The sums by factor.
    public var sums: [FactorName: Sum]
    /// Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes, by layer; only of layers for which every file states it.
    public var exactTraces: [String: Double] = [:]
    /// The joint rows of every file; none if the run has none.
    public var jointParts: [JointPart] = []

    /// Collects the contents of the files.
    public init(
        normalization: FactorNormalization, probes: Int, hasBias: [String: Bool], layouts: [String: WeightLayout] = [:],
        counts: [String: Counts], sums: [FactorName: Sum]
    ) {
        self.normalization = normalization
        self.probes = probes
        self.hasBias = hasBias
        self.layouts = layouts
        self.counts = counts
        self.sums = sums
    }

    /// N_t: the most samples of any layer or parameter.
    public var samples: Int { counts.values.map(\.samples).max() ?? 0 }
}
