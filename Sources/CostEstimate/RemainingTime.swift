/// The time that a running job needs, from the prediction before its start and its own pace since.
public enum RemainingTime {
    /// The share of the work after which only the job's own pace counts.
    private static let settledShare = 0.25

    /// Combines both; the more of the job is done, the more its own pace counts.
    ///
    /// - Parameters:
    ///   - predicted: The seconds that the whole job was predicted to take; `nil` without a prediction.
    ///   - elapsed: Seconds since the job began; `nil` when that is not known.
    ///   - fraction: The share of the planned work that is done, from 0 to 1.
    ///   - measured: The seconds that are left at the job's own pace; `nil` while too little of it is done.
    /// - Returns: The seconds that are left; `nil` when neither says anything.
    public static func seconds(
        predicted: Double?, elapsed: Double?, fraction: Double, measured: Double?
    ) -> Double? {
        guard let predicted, let elapsed else { return measured }
        let expected = predicted - elapsed
        // A job that takes longer than predicted has shown the prediction wrong.
        guard expected > 0 else { return measured }
        guard let measured else { return expected }
        let weight = min(1, max(0, fraction) / settledShare)
        return expected + (measured - expected) * weight
    }
}
