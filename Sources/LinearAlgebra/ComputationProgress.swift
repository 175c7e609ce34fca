/// The progress of a computation of many steps, which it reports after each step.
///
/// So an observer sees that the computation lives, and can end it.
///
/// A computation with steps has a parameter of type ``Observer``, and knows ``stepCount`` before it begins. An
/// iteration with a tolerance has a bound, which is its ``stepCount``: it may end earlier, never later. A single call
/// of LAPACK has no steps. LAPACK bounds its iterations itself, and a unit's cost predicts the time of the call.
public struct ComputationProgress: Equatable, Sendable {
    /// The number of steps done, at least 1.
    public var step: Int
    /// The most steps of the computation.
    public var stepCount: Int

    /// A function that is called after each step.
    ///
    /// If it throws, the computation ends and throws ``LinearAlgebraError/cancelled``.
    ///
    /// A unit passes `{ _ in try counter.step() }`, with its counter of progress.
    public typealias Observer = (ComputationProgress) throws(CancellationError) -> Void
}

extension ComputationProgress {
    /// Counts a step and tells the observer.
    mutating func advance(_ observer: Observer) throws(LinearAlgebraError) {
        step += 1
        do {
            try observer(self)
        } catch {
            throw .cancelled
        }
    }
}
