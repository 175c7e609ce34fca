/// The weights that make the two sides of joint rows comparable, for each block and position.
///
/// wα = √E‖g‖² and wγ = √E‖a‖²: an input counts as much as the gradients that it meets, and the reverse. A weight is at
/// least 10⁻⁴ of the largest on its side. Weights of several tasks are means over these tasks alone.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointWeights: Sendable, Equatable {
    /// E‖g‖² by block and position.
    private let gradientMeans: [[Float]]
    /// E‖a‖² by block and position.
    private let inputMeans: [[Float]]

    /// The smallest weight as a share of the largest.
    private static let floor = 1e-4

    /// The weights of one task.
    public init(_ rows: TaskRows) {
        let joint = rows.rows
        let layout = joint.layout
        gradientMeans = Self.squares(joint.gradients, joint.gradientCount, layout, \.outputWidth)
        inputMeans = Self.squares(joint.inputs, joint.inputCount, layout, \.inputWidth)
    }

    /// The weights of several tasks: every expectation is a mean over them.
    ///
    /// - Parameters:
    ///   - parts: Weights of one or more tasks each, at least one, of the same model.
    ///   - shares: The share of each part, with the sum 1.
    init(mean parts: [JointWeights], shares: [Float]) {
        precondition(!parts.isEmpty && parts.count == shares.count, "a mean of weights needs a share of each part")
        func mean(_ side: (JointWeights) -> [[Float]]) -> [[Float]] {
            let values = parts.map(side)
            return values[0].indices.map { block in
                values[0][block].indices.map { position in
                    zip(values, shares).reduce(0) { $0 + $1.1 * $1.0[block][position] }
                }
            }
        }
        gradientMeans = mean(\.gradientMeans)
        inputMeans = mean(\.inputMeans)
    }

    /// wα² by block and position.
    var inputSquares: [[Float]] { Self.floored(gradientMeans) }
    /// wγ² by block and position.
    var gradientSquares: [[Float]] { Self.floored(inputMeans) }
    /// The elements of both sides.
    var elementCount: Int { (gradientMeans + inputMeans).reduce(0) { $0 + $1.count } }

    private static func floored(_ squares: [[Float]]) -> [[Float]] {
        let least = Float(floor * floor) * (squares.joined().max() ?? 0)
        return squares.map { $0.map { max($0, least) } }
    }

    /// The sum of squares of each block's rows by position.
    private static func squares(
        _ rows: [[Float]], _ count: Int, _ layout: JointLayout, _ width: KeyPath<JointLayout.Block, Int>
    ) -> [[Float]] {
        zip(layout.blocks, rows).map { block, values in
            let width = block[keyPath: width]
            var sums = [Double](repeating: 0, count: block.positions)
            for row in 0..<count * block.positions {
                var sum = 0.0
                for index in row * width..<(row + 1) * width { sum += Double(values[index]) * Double(values[index]) }
                sums[row % block.positions] += sum
            }
            return sums.map { Float($0) }
        }
    }
}
