/// The settings of the form `pseudo_rows`: `kfac.regularizer.ranks` and `floor`.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointRowsSpec: Equatable, Sendable {
    /// What is added for the directions that the rows do not see.
    public enum Floor: Equatable, Sendable {
        /// Nothing.
        case none
        /// A number times the accumulated factors.
        case factors(Double)
        /// The accumulated factors without what the rows hold already.
        case complement

        /// The floor as the job file and the regularizer's file have it.
        public var text: String {
            switch self {
            case .none: "none"
            case .factors(let share): "\(share)"
            case .complement: "complement"
            }
        }
    }

    /// The most rows of inputs.
    public var inputRank = 32
    /// The most rows of gradients.
    public var gradientRank = 128
    /// The floor.
    public var floor: Floor = .complement

    /// The defaults.
    public init() {}
}
