public import JobPlan
import UnitOperations

/// How long one lane takes for a merge, without reading and writing of files, and how often it reads the models.
public struct MergePace: Equatable, Sendable, Codable {
    /// Seconds for one unit of ``MergeSample/work``.
    public var seconds: Double
    /// Seconds for an element of the part, beside those of its work.
    ///
    /// A decomposition works with single columns too, which is slow and grows with the square of the dimension only.
    public var elementSeconds: Double
    /// Passes over the models' values.
    public var passes: Double

    /// States a pace.
    public init(seconds: Double, elementSeconds: Double = 0, passes: Double) {
        self.seconds = seconds
        self.elementSeconds = elementSeconds
        self.passes = passes
    }

    /// One run on drawn numbers.
    public struct Run: Equatable, Sendable {
        /// Its work.
        public var work: Double
        /// The elements of its shape.
        public var elements: Double
        /// Its seconds.
        public var seconds: Double

        /// States a run.
        public init(work: Double, elements: Double, seconds: Double) {
            self.work = work
            self.elements = elements
            self.seconds = seconds
        }
    }

    /// The pace of two runs, which tell the work from the elements; that of the first one where they do not.
    public init(_ run: Run, smaller: Run?, passes: Double) {
        self.init(seconds: run.seconds / run.work, passes: passes)
        guard let smaller else { return }
        let determinant = run.work * smaller.elements - smaller.work * run.elements
        let ofWork = (run.seconds * smaller.elements - smaller.seconds * run.elements) / determinant
        let ofElements = (run.work * smaller.seconds - smaller.work * run.seconds) / determinant
        guard ofWork.isRate, ofElements.isRate else { return }
        (seconds, elementSeconds) = (ofWork, ofElements)
    }

    /// The seconds of a part.
    func seconds(work: Double, elements: Double) -> Double { seconds * work + elementSeconds * elements }

    /// Whether it can be a measured pace.
    var isPace: Bool {
        seconds.isRate && [elementSeconds, passes].allSatisfy { $0.isFinite && $0 >= 0 }
    }
}

extension JobPlan {
    /// The most kinds of merges whose pace is measured for a job.
    private static let mergeKindsMax = 8

    /// A sample of each kind of merge in the plan, the one with most work first.
    public var mergeSamples: [MergeSample] {
        var kinds: [String: (sample: MergeSample, work: Double)] = [:]
        func add(_ sample: MergeSample) {
            let kind = sample.kind
            kinds[kind] = (sample, sample.work + (kinds[kind]?.work ?? 0))
        }
        for unit in units {
            if let sample = unit.operation.flatMap({ MergeSample($0) }) { add(sample) }
            if unit.work == .coordinator(.mergeCheckpoint) { CheckpointParts(of: self).summed.forEach(add) }
        }
        return kinds.sorted { ($0.value.work, $1.key) > ($1.value.work, $0.key) }.prefix(Self.mergeKindsMax)
            .map(\.value.sample)
    }
}
