/// An element type of matrices: `Float` (fp32) or `Double` (fp64), the two types that BLAS multiplies.
public protocol MatrixScalar: BinaryFloatingPoint, BitwiseCopyable, Sendable {
    /// The element type of the scalar's bytes.
    static var elementType: ElementType { get }
}

extension Float: MatrixScalar {
    /// fp32.
    public static var elementType: ElementType { .f32 }
}

extension Double: MatrixScalar {
    /// fp64.
    public static var elementType: ElementType { .f64 }
}
