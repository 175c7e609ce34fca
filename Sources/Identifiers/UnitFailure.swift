/// The reason why a unit could not be computed.
public struct UnitFailure: Hashable, Sendable, Codable {
    /// The kind of a failure, which decides what happens next; the raw value is the journal's word.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The input is wrong. It is wrong on every worker, so the job ends.
        case badInput
        /// The environment failed. Another attempt may succeed.
        case world
        /// The worker was lost while it computed the unit.
        case workerLost
        /// A disk is full. The unit waits for room.
        case noSpace
        /// Nobody has a blob that the unit reads. The blob is made again.
        case inputMissing

        /// The kinds that a worker reports; a worker cannot report its own loss.
        public static let reported = allCases.filter { $0 != .workerLost }

        /// The word in messages and metrics.
        public var word: String {
            switch self {
            case .badInput: "bad_input"
            case .world: "world"
            case .workerLost: "worker_lost"
            case .noSpace: "no_space"
            case .inputMissing: "input_missing"
            }
        }
    }

    /// The kind of the failure.
    public var kind: Kind
    /// The place and the cause, in whole sentences.
    public var message: String

    /// Describes a failure.
    public init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message.cutMessage
    }
}
