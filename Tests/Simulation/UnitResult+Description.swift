import Identifiers
public import UnitOperations

/// The log names measurements in the order of their names, because equal dictionaries may print in different orders.
extension UnitResult: CustomStringConvertible {
    /// The blobs, then the measurements by name.
    public var description: String {
        let blobs = blobs.map { "\($0.digest) of \($0.byteCount)" }
        let numbers = measurements.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        return "[\((blobs + numbers).joined(separator: ", "))]"
    }
}
