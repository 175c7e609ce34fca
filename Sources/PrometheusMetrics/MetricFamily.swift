/// A metric's name and meaning, and by which labels its series differ.
///
/// Every family is declared before anything is counted: names, help texts and label sets are then what the
/// documentation says, whoever counts. Source: prometheus.io/docs/practices/naming.
public struct MetricFamily: Equatable, Sendable {
    /// What kind of numbers the series hold.
    public enum Kind: Equatable, Sendable {
        /// Only grows, but for restarts.
        case counter
        /// Goes up and down.
        case gauge
        /// Observations by upper bounds, in increasing order, without the infinite one.
        case histogram(buckets: [Double])
    }

    /// The name, with the unit.
    public var name: String
    /// What it counts, in one sentence.
    public var help: String
    /// Its kind.
    public var kind: Kind
    /// The names of its labels, in the order in which they are written.
    public var labels: [String]

    /// Declares a metric.
    ///
    /// - Parameters:
    ///   - name: The name, with the unit.
    ///   - help: What it counts.
    ///   - kind: Its kind.
    ///   - labels: The names of its labels.
    public init(_ name: String, help: String, kind: Kind, labels: [String] = []) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }

    /// From a millisecond to an hour and a half, each bound four times the one before: units last that long.
    public static let durationBuckets: [Double] = [
        0.001, 0.004, 0.016, 0.064, 0.25, 1, 4, 16, 64, 256, 1024, 4096,
    ]
}

/// A number that is looked up when the metrics are read.
public struct MetricSample: Equatable, Sendable {
    /// The family's name.
    public var name: String
    /// The labels' values, in the family's order.
    public var labelValues: [String]
    /// The number.
    public var value: Double

    /// States a number.
    public init(_ name: String, _ labelValues: [String] = [], _ value: some BinaryInteger) {
        self.init(name, labelValues, Double(value))
    }

    /// States a number.
    public init(_ name: String, _ labelValues: [String] = [], _ value: Double) {
        self.name = name
        self.labelValues = labelValues
        self.value = value
    }
}
