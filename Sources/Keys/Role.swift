/// What the holder of a key may do.
public enum Role: String, CaseIterable, Sendable, Comparable {
    /// Ask for job, worker and output data; change nothing.
    case reader
    /// Submit, cancel and drain, and all that a reader may.
    case submitter
    /// Compute units: sees captures, factors and every blob.
    case worker

    /// Whether a holder of this role may do what another one is needed for.
    public func includes(_ other: Role) -> Bool {
        self == other || self == .submitter && other == .reader
    }

    /// Orders roles as they are listed to people.
    public static func < (left: Role, right: Role) -> Bool {
        left.rawValue < right.rawValue
    }
}
