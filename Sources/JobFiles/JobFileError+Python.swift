import JSONText

extension JobFileError {
    /// Whether Python's `json`, by which transformers loads a model, reads what is not JSON: a key twice, or `NaN` and
    /// `Infinity` in place of a number.
    public var isReadByPython: Bool {
        guard case .json(let cause) = self else { return false }
        return switch cause {
        case .duplicateKey: true
        case .malformed(_, _, let found, _): ["\"N\"", "\"I\""].contains(found)
        }
    }
}
