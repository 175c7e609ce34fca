import LinearAlgebra

extension ElementType {
    /// The type for mergekit's or PyTorch's word, or `nil` for an unknown word.
    init?(jobFileWord: String) {
        switch jobFileWord {
        case "float64": self = .f64
        case "float32": self = .f32
        case "float16": self = .f16
        case "bfloat16": self = .bf16
        default: return nil
        }
    }

    /// The words that a job file may use.
    static let jobFileWords = ["bfloat16", "float16", "float32", "float64"]
}
