/// A metric's name and meaning, and the labels of its series.
///
/// Every family is declared before anything is counted. So names, help texts and label sets always match the
/// documentation.
/// Source: prometheus.io/docs/practices/naming.
public struct MetricFamily: Equatable, Sendable {
    /// The kind of a metric.
    public enum Kind: Equatable, Sendable {
        /// Only grows, except at restarts.
        case counter
        /// Goes up and down.
        case gauge
        /// Counts observations up to each bound; the bounds increase, and the infinite bound is left out.
        case histogram(buckets: [Double])
    }

    /// The name, with the unit.
    public var name: String
    /// The meaning, in one sentence.
    public var help: String
    /// The kind.
    public var kind: Kind
    /// The names of the labels, in the order of writing.
    public var labels: [String]

    /// Declares a metric.
    ///
    /// - Parameters:
    ///   - name: The name, with the unit.
    ///   - help: The meaning.
    ///   - kind: The kind.
    ///   - labels: The names of the labels.
    public init(_ name: String, help: String, kind: Kind, labels: [String] = []) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }

    /// From a millisecond to an hour and a half, the range of unit times; each bound is four times the last.
    public static let durationBuckets: [Double] = [
        0.001, 0.004, 0.016, 0.064, 0.25, 1, 4, 16, 64, 256, 1024, 4096,
    ]
}

/// A number that is read when the metrics are requested.
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
