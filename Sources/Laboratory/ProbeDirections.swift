/// The probes of some samples: one ε for each sample, one probe after the other.
struct ProbeDirections: Sendable {
    /// The random sequence of each sample; empty for exact probes.
    private var sequences: [SeededRandom]
    private let sampleCount: Int
    private let featureWidth: Int
    private var position = 0

    /// The probes of a shard.
    ///
    /// A sample's numbers depend only on the seed, the task and the sample. They do not depend on other captures. A
    /// smaller number of probes gives the first ones of a larger number.
    ///
    /// - Parameters:
    ///   - settings: Probes and seed.
    ///   - task: The task.
    ///   - samples: Numbers of the samples.
    ///   - featureWidth: Length of ε.
    init(_ settings: CaptureSettings, task: String, samples: ArraySlice<Int>, featureWidth: Int) {
        self.featureWidth = featureWidth
        sampleCount = samples.count
        sequences =
            switch settings.probes {
            case .sampled: samples.map { SeededRandom(seed: settings.seed, purpose: "probes of \(task), sample \($0)") }
            case .exact: []
            }
    }

    /// Writes the next probe of every sample, `[samples, features]`.
    ///
    /// An exact probe is √C times a basis vector. Factors are divided by M, which is C here. So 1/M Σ_m (√C g_m)(√C
    /// g_m)ᵀ is the sum over the basis, as in DESIGN section 2.1. The file reads like one with C sampled probes, and
    /// `exact_probes` stays false.
    mutating func next(into direction: inout [Float]) {
        if sequences.isEmpty {
            for index in 0..<sampleCount * featureWidth {
                direction[index] = index % featureWidth == position ? Float(featureWidth).squareRoot() : 0
            }
        } else {
            for sample in sequences.indices {
                for index in 0..<featureWidth {
                    direction[sample * featureWidth + index] = Float(sequences[sample].nextNormal())
                }
            }
        }
        position += 1
    }
}
