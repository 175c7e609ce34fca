/// Which samples and probes a capture is made from.
public struct CaptureSettings: Equatable, Sendable {
    /// Directions of the output along which gradients are taken.
    public enum Probes: Equatable, Sendable {
        /// So many draws of ε ~ N(0, I) for each sample.
        case sampled(Int)
        /// One probe for each element of the feature.
        case exact
    }

    /// The largest number of sampled probes; more only cost disk space.
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
    ///   - sampleCount: N; all of a task's samples where it has fewer.
    ///   - probes: The probes.
    ///   - seed: The study's seed.
    public init(sampleCount: Int = 256, probes: Probes = .sampled(1), seed: Int = 0) {
        self.sampleCount = sampleCount
        self.probes = probes
        self.seed = seed
    }

    /// The samples of a task that enter its capture: the first ones for seed 0, a random subset for every other seed.
    ///
    /// - Parameters:
    ///   - task: The task; each draws its own subset.
    ///   - availableCount: Samples that the task has.
    /// - Returns: Their numbers, rising.
    public func samples(of task: String, in availableCount: Int) -> [Int] {
        guard seed != 0 else { return Array(0..<max(0, min(sampleCount, availableCount))) }
        var random = SeededRandom(seed: seed, purpose: "captured samples of \(task)")
        return Array((0..<max(0, availableCount)).shuffled(using: &random).prefix(max(0, sampleCount))).sorted()
    }

    /// M for a model whose features are so long.
    func probeCount(featureWidth: Int) -> Int {
        switch probes {
        case .sampled(let count): count
        case .exact: featureWidth
        }
    }
}
