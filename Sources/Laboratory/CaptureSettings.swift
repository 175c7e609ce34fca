/// The samples and probes of a capture.
public struct CaptureSettings: Equatable, Sendable {
    /// The directions of the output along which gradients are taken.
    public enum Probes: Equatable, Sendable {
        /// This number of draws of ε ~ N(0, I) for each sample.
        case sampled(Int)
        /// One probe for each element of the feature.
        case exact
    }

    /// The most sampled probes; more would only cost disk space.
    public static let probeLimit = 4096

    /// N of ``samples(of:in:)``.
    public var sampleCount: Int
    /// The probes.
    public var probes: Probes
    /// The study's seed.
    public var seed: Int

    /// Settings of a capture.
    ///
    /// - Parameters:
    ///   - sampleCount: N; a task with fewer samples uses all of them.
    ///   - probes: The probes.
    ///   - seed: The study's seed.
    public init(sampleCount: Int = 256, probes: Probes = .sampled(1), seed: Int = 0) {
        self.sampleCount = sampleCount
        self.probes = probes
        self.seed = seed
    }

    /// The samples of a task's capture: the first ones for seed 0, a random subset for every other seed.
    ///
    /// - Parameters:
    ///   - task: The task. Each task has its own subset.
    ///   - availableCount: The number of the task's samples.
    /// - Returns: The samples' numbers, ascending.
    public func samples(of task: String, in availableCount: Int) -> [Int] {
        guard seed != 0 else { return Array(0..<max(0, min(sampleCount, availableCount))) }
        var random = SeededRandom(seed: seed, purpose: "captured samples of \(task)")
        return Array((0..<max(0, availableCount)).shuffled(using: &random).prefix(max(0, sampleCount))).sorted()
    }

    /// M for a model with features of this width.
    func probeCount(featureWidth: Int) -> Int {
        switch probes {
        case .sampled(let count): count
        case .exact: featureWidth
        }
    }
}
