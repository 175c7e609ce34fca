/// The element types of tensors that kfacd computes with; others are copied bit for bit.
public enum TensorType: String, Hashable, Sendable, Codable, CaseIterable {
    /// IEEE double precision.
    case float64 = "F64"
    /// IEEE single precision.
    case float32 = "F32"
    /// IEEE half precision.
    case float16 = "F16"
    /// The upper half of a single.
    case bfloat16 = "BF16"

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float64: 8
        case .float32: 4
        case .float16, .bfloat16: 2
        }
    }

    /// The type by mergekit's and PyTorch's word for it.
    public init?(jobFileWord: String) {
        switch jobFileWord {
        case "float64": self = .float64
        case "float32": self = .float32
        case "float16": self = .float16
        case "bfloat16": self = .bfloat16
        default: return nil
        }
    }

    /// The words that a job file may use.
    public static let jobFileWords = ["bfloat16", "float16", "float32", "float64"]
}
