/// How far a computation of many steps has come: what it tells between two of them, so that whoever waits sees it live
/// and can end it.
///
/// A computation that takes steps has a parameter of type ``Observer`` and knows ``stepCount`` before it begins. One
/// that iterates until something is small has a bound of its iterations, and that is its ``stepCount``: it may end
/// earlier, never later. A single call of LAPACK has no steps. LAPACK bounds its iterations itself, and a unit's cost
/// says beforehand how long the call may take.
public struct ComputationProgress: Equatable, Sendable {
    /// Steps done, from 1 on.
    public var step: Int
    /// The most steps that there will be.
    public var stepCount: Int

    /// Hears of each step; throws to end the computation, which then throws ``LinearAlgebraError/cancelled``.
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
