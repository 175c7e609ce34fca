import Identifiers

/// Why a frame is not a message.
public enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The frame is larger than a message may be, in bytes.
    case tooLarge(byteCount: Int, byteCountMax: Int)
    /// The frame has more than ``WireLimits/fieldsMax`` fields.
    case tooManyFields
    /// The peer speaks another version of the protocol.
    case versionMismatch(found: UInt32, supported: UInt32)
    /// The bytes, or a value in them, are not what the schema allows.
    case malformed(String)

    /// The sentence for the log, and for the person at the other end.
    public var description: String {
        switch self {
        case .tooLarge(let count, let most):
            "the message has \(count) bytes; at most \(most) are allowed."
        case .tooManyFields:
            "the message is malformed: it has more than \(WireLimits.fieldsMax) fields."
        case .versionMismatch(let found, let supported):
            "the peer speaks protocol version \(found), this program speaks version \(supported). "
                + "Install the same version of kfacd on both sides."
        case .malformed(let what):
            "the message is malformed: \(what)."
        }
    }
}

/// The limits and the version of the protocol.
public enum WireLimits {
    /// The version that this program speaks.
    public static let version = UInt32(FormatVersion.wire.number)
    /// The most bytes of a message's first frame.
    public static let messageBytesMax = 64 << 20
    /// The most bytes of a first frame from a worker or client, which the coordinator holds for many peers.
    public static let requestBytesMax = 16 << 20
    /// Bytes of a chunk of a transfer; the last one may be shorter.
    public static let chunkBytes = 1 << 20
    /// The most chunks of one transfer that may be on their way without more credit.
    public static let chunkCredit: UInt32 = 8
    /// The most blobs in one message about a worker's store.
    public static let blobsPerMessage = 10_000
    /// The most messages that are joined in one.
    public static let sequenceMax = 256
    /// The most items of one list.
    static let listCountMax = 1 << 17
    /// The most fields of a message, including those in its lists.
    static let fieldsMax = 1 << 18
    /// The highest count of anything, if no other limit is stated.
    static let countMax = 1 << 31
    /// The most memory of a worker in bytes.
    static let memoryBytesMax: UInt64 = 1 << 56
}
