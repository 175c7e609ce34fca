/// What the holder of a key may do.
public enum Role: String, CaseIterable, Sendable, Comparable {
    /// May read job, worker and output data, and change nothing.
    case reader
    /// May submit, cancel and drain, and do all that a reader may.
    case submitter
    /// May compute units, and so read captures, factors and every blob.
    case worker

    /// Whether this role includes the rights of another.
    public func includes(_ other: Role) -> Bool {
        self == other || self == .submitter && other == .reader
    }

    /// Orders roles as lists for people show them.
    public static func < (left: Role, right: Role) -> Bool {
        left.rawValue < right.rawValue
    }
}
