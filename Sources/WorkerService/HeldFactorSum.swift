/// A paused factor whose sum is a value in this machine's memory.
final class HeldFactorSum<Sum: ~Copyable>: PausedFactorSum {
    private var sum: Sum?

    /// Holds the sum of a begun factor.
    init(_ sum: consuming Sum?) {
        self.sum = sum
    }

    /// Takes the sum back.
    ///
    /// - Parameter paused: A held sum of this kind that was not taken before; anything else is an error of the caller.
    /// - Returns: The sum.
    static func take(from paused: any PausedFactorSum) -> Sum {
        guard let held = paused as? HeldFactorSum<Sum>, let sum = held.sum.take() else {
            preconditionFailure("a factor is resumed that another backend paused, or that was resumed before")
        }
        return sum
    }
}
