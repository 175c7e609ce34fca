/// The scales α at which sums of vectors are measured.
public enum AlphaGrid {
    /// For addition: from the base alone to three times the vectors.
    public static let addition = [0, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.25, 1.5, 2, 3]
    /// For negation.
    public static let negation = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3]
    /// For the plane of the disentanglement error.
    static let plane = stride(from: -3.0, through: 3, by: 0.5).map { $0 }

    /// The scale with the largest value; of equal values, the scale nearest to 1 wins, because 1 needs no tuning.
    static func best(_ values: [(alpha: Double, accuracy: Double)]) -> Double {
        values.max { first, second in
            first.accuracy == second.accuracy
                ? (first.alpha - 1).magnitude > (second.alpha - 1).magnitude : first.accuracy < second.accuracy
        }?.alpha ?? 1
    }
}
