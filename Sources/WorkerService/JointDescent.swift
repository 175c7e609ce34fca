/// What the blocks of a step of conjugate gradients learn of all of them.
///
/// Source: DESIGN section 2.5, joint rows.
struct JointDescent: Equatable {
    /// Whether the iteration has stopped; then no step follows.
    var isStopped: Bool
    /// The steps that were taken.
    var steps: Int
    /// ‖r‖ as a share of the right side's norm.
    var residual: Double
    /// The length of the next step.
    var length = 0.0
    /// The share of the former direction in the next one.
    var formerShare = 0.0
    /// r·z.
    var slope = 0.0
    /// d·Fd of the next direction under the floor.
    var floorCurvature = 0.0
    /// The square of the right side's norm.
    var rightSquares: Double

    /// The list that travels between units.
    var numbers: [Double] {
        [
            isStopped ? 1 : 0, Double(steps), residual, length, formerShare, slope, floorCurvature, rightSquares,
        ]
    }

    /// A list is a step's if it has eight finite numbers, the second of which counts steps.
    init?(_ numbers: [Double]) {
        guard numbers.count == 8, numbers.allSatisfy(\.isFinite), let steps = Int(exactly: numbers[1]) else {
            return nil
        }
        self.init(isStopped: numbers[0] != 0, steps: steps, residual: numbers[2], rightSquares: numbers[7])
        (length, formerShare, slope, floorCurvature) = (numbers[3], numbers[4], numbers[5], numbers[6])
    }

    init(isStopped: Bool, steps: Int, residual: Double, rightSquares: Double) {
        self.isStopped = isStopped
        self.steps = steps
        self.residual = residual
        self.rightSquares = rightSquares
    }

    /// The blob of a unit that has nothing more to do.
    static let nothing = [0.0]
}
