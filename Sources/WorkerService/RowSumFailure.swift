import Identifiers
import KroneckerFactors
import UnitOperations

/// An order about a sum of rows that contradicts what was ordered before; only a coordinator of another version sends
/// such an order.
struct MalformedRowSumOrder: Error, CustomStringConvertible {
    let message: String

    init(_ message: String) {
        self.message = message
    }

    var description: String { "the order is malformed: \(message)" }
}

extension UnitFailure {
    /// Why rows cannot be summed, for the person who sends them.
    ///
    /// - Parameters:
    ///   - error: The error; its row is counted over the sum.
    ///   - subject: The tensor that the sum is.
    init(_ error: any Error, ofRowsFor subject: String) {
        guard let flaw = error as? KroneckerFactorsError, flaw.isBadInput else {
            self.init(kind: .world, message: "the rows of tensor \"\(subject)\" cannot be summed: \(error)")
            return
        }
        self.init(kind: .badInput, message: Self.sentence(flaw, subject))
    }

    private static func sentence(_ flaw: KroneckerFactorsError, _ subject: String) -> String {
        switch flaw {
        case .nonFinite(let row):
            "the rows of tensor \"\(subject)\" hold NaN or infinity, first in row \(row) of those that were sent for it; "
                + "expected finite values. Send the rows of this sequence again without them."
        case .squareOverflow(let row, let column):
            "the rows of tensor \"\(subject)\": the squares of column \(column) overflow float32, the largest value "
                + "stands in row \(row) of those that were sent for it. Scale the rows down."
        case .squaresVanish(let rows, let largest):
            "the rows of tensor \"\(subject)\": the squares of all \(rows) rows vanish in float32: the largest magnitude "
                + "is \(largest); expected one above 1e-19. Scale the rows up, those of all tasks by one factor: "
                + "\(1 / largest) makes the largest 1."
        default: "the rows of tensor \"\(subject)\": \(flaw)"
        }
    }
}
