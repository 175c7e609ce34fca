public import Identifiers

/// A tensor of a capture file, by its content.
public enum CaptureTensorName: Hashable, Sendable {
    /// `<layer>.input`, `[rows, d_in]`, without the ones of the bias.
    case input(LayerName)
    /// `<layer>.output_grad`, `[rows · M, d_out]`, probe-major.
    case outputGradient(LayerName)
    /// `<layer>.row_samples`, `[rows]`: the sample of each input row, from 0, not decreasing.
    case rowSamples(LayerName)
    /// `<parameter>.grad`, `[N · M, d]`, summed over positions.
    case parameterGradient(ParameterName)

    /// Recognises a tensor's name; nil if it is not a capture's.
    public init?(_ name: String) {
        if let layer = name.removing(suffix: ".input") {
            self = .input(LayerName(rawValue: layer))
        } else if let layer = name.removing(suffix: ".output_grad") {
            self = .outputGradient(LayerName(rawValue: layer))
        } else if let layer = name.removing(suffix: ".row_samples") {
            self = .rowSamples(LayerName(rawValue: layer))
        } else if let parameter = name.removing(suffix: ".grad") {
            self = .parameterGradient(ParameterName(rawValue: parameter))
        } else {
            return nil
        }
    }

    /// The layer's or the parameter's name.
    public var owner: String {
        switch self {
        case .input(let layer), .outputGradient(let layer), .rowSamples(let layer): layer.rawValue
        case .parameterGradient(let parameter): parameter.rawValue
        }
    }

    /// The tensor's name in the file.
    public var name: String {
        switch self {
        case .input(let layer): "\(layer).input"
        case .outputGradient(let layer): "\(layer).output_grad"
        case .rowSamples(let layer): "\(layer).row_samples"
        case .parameterGradient(let parameter): "\(parameter).grad"
        }
    }
}

/// A square matrix of a factor, regularizer or inverse file, by its owner.
public struct CurvatureTensorName: Hashable, Sendable {
    /// Layer for A and B, full parameter name for F.
    public let owner: String
    /// Which of the owner's matrices.
    public let side: FactorSide
    /// Whether the matrix is the damped inverse (`A_inv`) rather than the factor (`A`).
    public let isInverse: Bool

    /// Names A or B of a layer, or F of a parameter.
    public init(owner: String, side: FactorSide, isInverse: Bool = false) {
        self.owner = owner
        self.side = side
        self.isInverse = isInverse
    }

    /// Recognises a tensor's name; nil if it names none of the three sides.
    public init?(_ name: String) {
        for side in FactorSide.allCases {
            for isInverse in [false, true] {
                guard let owner = name.removing(suffix: Self.suffix(side, isInverse)) else { continue }
                self.init(owner: owner, side: side, isInverse: isInverse)
                return
            }
        }
        return nil
    }

    /// The prefix of the owners in a Kronecker product of a regularizer.
    ///
    /// The first product has none, so that a reader of one product needs no prefix; then come `term2/`, `term3/`, ….
    ///
    /// - Parameter position: The number of the Kronecker product, from 0.
    /// - Returns: The prefix with its slash.
    public static func prefix(ofTerm position: Int) -> String { position == 0 ? "" : "term\(position + 1)/" }

    /// The tensor's name in the file: `<owner>.A`, `<owner>.A_inv`.
    public var name: String { owner + Self.suffix(side, isInverse) }

    private static func suffix(_ side: FactorSide, _ isInverse: Bool) -> String {
        ".\(side.rawValue)\(isInverse ? "_inv" : "")"
    }
}

extension String {
    /// The text before the suffix, or nil if the string does not end with the suffix or is only the suffix.
    fileprivate func removing(suffix: String) -> String? {
        hasSuffix(suffix) && count > suffix.count ? String(dropLast(suffix.count)) : nil
    }
}
