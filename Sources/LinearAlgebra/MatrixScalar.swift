/// An element type of matrices: `Float` (fp32) or `Double` (fp64), the two types that BLAS multiplies.
///
/// Code for both types is written once, and takes its BLAS and LAPACK calls from ``routines``.
public protocol MatrixScalar: BinaryFloatingPoint, BitwiseCopyable, Sendable {
    /// The element type of the scalar's bytes.
    static var elementType: ElementType { get }

    /// The routines of this precision, which only this module calls.
    static var routines: ScalarRoutines<Self> { get }
}

extension Float: MatrixScalar {
    /// fp32.
    public static var elementType: ElementType { .f32 }

    /// The routines of fp32.
    public static var routines: ScalarRoutines<Float> { .single }
}

extension Double: MatrixScalar {
    /// fp64.
    public static var elementType: ElementType { .f64 }

    /// The routines of fp64.
    public static var routines: ScalarRoutines<Double> { .double }
}
