public import LinearAlgebra

/// B → B times the scalar that gives tr(A) tr(B) the value of the layer's exact trace.
///
/// It reads B as packed F32, and makes one blob of the same form; on request it reads B as packed F64, and makes the
/// product as F32 and as F64. It measures ``MeasurementName/balance`` and ``MeasurementName/trace``. It reads the
/// numbers that ``Scalar/measured(_:)`` lists.
///
/// Source: DESIGN section 2.1.
public struct BalanceOperation: UnitOperation {
    /// Where the scalar comes from.
    public enum Scalar: Equatable, Sendable {
        /// It is known: a finished set states it.
        case stated(Double)
        /// It follows from numbers of other units.
        ///
        /// These are the traces of the unit that makes A, those of the unit that makes B, and then the parts of the
        /// exact trace, whose sum counts.
        case measured(Measured)
    }

    /// The numbers behind a scalar.
    public struct Measured: Equatable, Sendable {
        /// The place of A among the blobs of its unit, and so of its trace.
        public var inputPlace: Int
        /// The place of B among the blobs of its unit, and so of its trace.
        public var gradientPlace: Int
        /// Number of lists with a part of the exact trace.
        public var partCount: Int
        /// What is known of the exact trace beforehand.
        public var known: Double

        /// Describes numbers.
        public init(inputPlace: Int, gradientPlace: Int, partCount: Int, known: Double = 0) {
            self.inputPlace = inputPlace
            self.gradientPlace = gradientPlace
            self.partCount = partCount
            self.known = known
        }
    }

    /// B's shape.
    public var shape: SymmetricShape
    /// The scalar.
    public var scalar: Scalar
    /// Whether B is read as F64, and also given so.
    public var givesDouble = false

    /// Describes a balance.
    public init(shape: SymmetricShape, scalar: Scalar) {
        self.shape = shape
        self.scalar = scalar
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "balance" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .balance }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 1 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int {
        guard case .measured(let measured) = scalar else { return 0 }
        return 2 + measured.partCount
    }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if B is also given as F64.
    public var doubleBlobCount: Int { givesDouble ? 1 : 0 }

    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: shape.storedBytes.saturatingProduct(givesDouble ? 2 : 1),
            outputBytes: shape.givenBytes(givesDouble: givesDouble), rows: givesDouble ? 7 : 2)
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireBalanceOperation()
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.givesDouble = givesDouble
        switch scalar {
        case .stated(let value): wire.stated = value
        case .measured(let measured):
            wire.measured.inputPlace = UInt32(measured.inputPlace)
            wire.measured.gradientPlace = UInt32(measured.gradientPlace)
            wire.measured.parts = UInt32(measured.partCount)
            wire.measured.known = measured.known
        }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireBalanceOperation = try message(bytes)
        self.init(
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            scalar: try Self.scalar(wire.scalar))
        givesDouble = wire.givesDouble
    }

    private static func scalar(_ wire: WireBalanceOperation.OneOf_Scalar?) throws(OperationError) -> Scalar {
        switch wire {
        case .stated(let value): return .stated(try notNegative(value, "a balance"))
        case .measured(let measured):
            let most = OperationLimits.listCountMax
            return .measured(
                Measured(
                    inputPlace: try count(measured.inputPlace, "the place of a trace", most: most),
                    gradientPlace: try count(measured.gradientPlace, "the place of a trace", most: most),
                    partCount: try count(measured.parts, "the number of parts", most: most),
                    known: try notNegative(measured.known, "an exact trace")))
        case nil: throw .malformed("a balance has no scalar")
        }
    }
}
