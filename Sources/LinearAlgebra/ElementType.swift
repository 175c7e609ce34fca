/// A floating-point element type of files and blobs, little-endian.
public enum ElementType: String, CaseIterable, Sendable {
    /// IEEE binary64.
    case f64 = "F64"
    /// IEEE binary32.
    case f32 = "F32"
    /// IEEE binary16.
    case f16 = "F16"
    /// The upper half of a binary32.
    case bf16 = "BF16"

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .f64: 8
        case .f32: 4
        case .f16, .bf16: 2
        }
    }

    func requireBytes(_ found: Int, elements: Int) throws(LinearAlgebraError) {
        let (expected, overflow) = elements.multipliedReportingOverflow(by: byteCount)
        guard !overflow else { throw .invalidShape(rows: elements, columns: 1) }
        guard expected == found else {
            throw .byteCountMismatch(elementType: self, expected: expected, found: found)
        }
    }
}
