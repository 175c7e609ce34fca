/// The weights that make the two sides of joint rows comparable, for each block and position.
///
/// wα = √E‖g‖² and wγ = √E‖a‖², as means over tasks: an input counts as much as the gradients that it meets, and the
/// reverse. A weight is at least 10⁻⁴ of the largest on its side. All tasks of a form share them.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointWeights: Sendable, Equatable {
    /// wα² by block and position.
    let inputSquares: [[Float]]
    /// wγ² by block and position.
    let gradientSquares: [[Float]]

    /// The smallest weight as a share of the largest.
    private static let floor = 1e-4

    /// The weights of one task.
    public init(_ rows: TaskRows) {
        let joint = rows.rows
        let layout = joint.layout
        self.init(
            inputSquares: Self.squares(joint.gradients, joint.gradientCount, layout, \.outputWidth),
            gradientSquares: Self.squares(joint.inputs, joint.inputCount, layout, \.inputWidth))
    }

    /// The mean of several tasks' weights, squared: every expectation is a mean over the tasks.
    ///
    /// - Parameter tasks: At least one, of the same model.
    public init(mean tasks: [JointWeights]) {
        precondition(!tasks.isEmpty, "a mean of weights needs a task")
        func mean(_ side: KeyPath<JointWeights, [[Float]]>) -> [[Float]] {
            tasks[0][keyPath: side].indices.map { block in
                tasks[0][keyPath: side][block].indices.map { position in
                    tasks.reduce(0) { $0 + $1[keyPath: side][block][position] } / Float(tasks.count)
                }
            }
        }
        self.init(inputSquares: mean(\.inputSquares), gradientSquares: mean(\.gradientSquares))
    }

    private init(inputSquares: [[Float]], gradientSquares: [[Float]]) {
        self.inputSquares = Self.floored(inputSquares)
        self.gradientSquares = Self.floored(gradientSquares)
    }

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
