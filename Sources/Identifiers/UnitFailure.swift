/// Why a unit could not be computed.
public struct UnitFailure: Hashable, Sendable, Codable {
    /// What may be done about it; the raw value is the journal's word.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The input is wrong: the same everywhere, so the job ends.
        case badInput
        /// The world failed: another attempt may succeed.
        case world
        /// The worker vanished while it computed the unit.
        case workerLost
        /// A disk is full: the unit waits for room.
        case noSpace
        /// A blob that it reads is not to be had: that one is made again.
        case inputMissing

        /// Those that a worker reports: that it vanished nobody can say of itself.
        public static let reported = allCases.filter { $0 != .workerLost }

        /// The word of messages and metrics.
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

    /// What may be done about it.
    public var kind: Kind
    /// Where and what, in whole sentences.
    public var message: String

    /// States why a unit could not be computed.
    public init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message.cutMessage
    }
}
