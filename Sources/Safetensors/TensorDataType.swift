/// The element types of the safetensors format, named as in its header.
///
/// Source: the `Dtype` enumeration of the safetensors reference implementation, 0.8. Values are little-endian.
public enum TensorDataType: String, CaseIterable, Sendable {
    /// One byte, 0 or 1.
    case bool = "BOOL"
    /// Four-bit floating point, two elements a byte.
    case float4 = "F4"
    /// Six-bit floating point with 2 exponent and 3 mantissa bits, four elements in three bytes.
    case float6E2M3 = "F6_E2M3"
    /// Six-bit floating point with 3 exponent and 2 mantissa bits, four elements in three bytes.
    case float6E3M2 = "F6_E3M2"
    /// Unsigned 8-bit integer.
    case uint8 = "U8"
    /// Signed 8-bit integer.
    case int8 = "I8"
    /// Eight-bit floating point with 5 exponent and 2 mantissa bits.
    case float8E5M2 = "F8_E5M2"
    /// Eight-bit floating point with 4 exponent and 3 mantissa bits.
    case float8E4M3 = "F8_E4M3"
    /// Eight exponent bits only: a scale.
    case float8E8M0 = "F8_E8M0"
    /// Like ``float8E4M3``, without infinities and negative zero.
    case float8E4M3FNUZ = "F8_E4M3FNUZ"
    /// Like ``float8E5M2``, without infinities and negative zero.
    case float8E5M2FNUZ = "F8_E5M2FNUZ"
    /// Signed 16-bit integer.
    case int16 = "I16"
    /// Unsigned 16-bit integer.
    case uint16 = "U16"
    /// IEEE 754 binary16.
    case float16 = "F16"
    /// The upper half of an IEEE 754 binary32.
    case bfloat16 = "BF16"
    /// Signed 32-bit integer.
    case int32 = "I32"
    /// Unsigned 32-bit integer.
    case uint32 = "U32"
    /// IEEE 754 binary32.
    case float32 = "F32"
    /// Two binary32: real and imaginary part.
    case complex64 = "C64"
    /// IEEE 754 binary64.
    case float64 = "F64"
    /// Signed 64-bit integer.
    case int64 = "I64"
    /// Unsigned 64-bit integer.
    case uint64 = "U64"

    /// Bits of one element; below 8 for the packed types, whose tensors must still fill whole bytes.
    public var bitCount: Int {
        switch self {
        case .float4: 4
        case .float6E2M3, .float6E3M2: 6
        case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ: 8
        case .int16, .uint16, .float16, .bfloat16: 16
        case .int32, .uint32, .float32: 32
        case .complex64, .float64, .int64, .uint64: 64
        }
    }

    /// Whether a cast between precisions may change the values.
    ///
    /// Only real numbers are cast; integers are copied bit for bit.
    public var isFloatingPoint: Bool {
        switch self {
        case .float16, .bfloat16, .float32, .float64: true
        case .float4, .float6E2M3, .float6E3M2: true
        case .float8E5M2, .float8E4M3, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ: true
        case .bool, .uint8, .int8, .int16, .uint16, .int32, .uint32, .int64, .uint64, .complex64: false
        }
    }
}
