import CoreMetrics
import PrometheusMetrics
import TestSupport
import Testing

@Suite struct MetricRegistryTests {
    private let registry = MetricRegistry(families: [
        MetricFamily("jobs_total", help: "Jobs.", kind: .counter),
        MetricFamily("work_seconds_total", help: "Work by stage.", kind: .counter, labels: ["stage"]),
        MetricFamily("queue_bytes", help: "A \\ and\na line.", kind: .gauge, labels: ["socket"]),
        MetricFamily(
            "unit_duration_seconds", help: "Durations.", kind: .histogram(buckets: [0.5, 2]), labels: ["stage"]),
    ])

    @Test func `each kind is written as the format demands`() async {
        Counter(label: "jobs_total", factory: registry).increment(by: 3)
        FloatingPointCounter(label: "work_seconds_total", dimensions: [("stage", "factor")], factory: registry)
            .increment(by: 0.25)
        Meter(label: "queue_bytes", dimensions: [("socket", "a\"b\\c\nd")], factory: registry).set(1 << 40)
        let recorder = Recorder(label: "unit_duration_seconds", dimensions: [("stage", "factor")], factory: registry)
        for value in [0.5, 0.6, 2.5, .nan, .infinity] { recorder.record(value) }
        let text = await registry.exposition()
        #expect(
            text == """
                # HELP jobs_total Jobs.
                # TYPE jobs_total counter
                jobs_total 3
                # HELP work_seconds_total Work by stage.
                # TYPE work_seconds_total counter
                work_seconds_total{stage="factor"} 0.25
                # HELP queue_bytes A \\\\ and\\na line.
                # TYPE queue_bytes gauge
                queue_bytes{socket="a\\"b\\\\c\\nd"} 1099511627776
                # HELP unit_duration_seconds Durations.
                # TYPE unit_duration_seconds histogram
                unit_duration_seconds_bucket{stage="factor",le="0.5"} 1
                unit_duration_seconds_bucket{stage="factor",le="2"} 2
                unit_duration_seconds_bucket{stage="factor",le="+Inf"} 3
                unit_duration_seconds_sum{stage="factor"} 3.6
                unit_duration_seconds_count{stage="factor"} 3

                """)
        #expect(ExpositionLint.problems(of: text).isEmpty)
    }

    @Test func `a counter without labels begins at zero and a gauge without a value is absent`() async {
        let text = await registry.exposition()
        #expect(text.contains("\njobs_total 0\n"))
        #expect(!text.contains("queue_bytes"))
    }

    @Test func `what nobody declared and other labels go nowhere`() async {
        Counter(label: "undeclared_total", factory: registry).increment()
        Counter(label: "jobs_total", dimensions: [("job", "1")], factory: registry).increment()
        Counter(label: "work_seconds_total", factory: registry).increment()
        let text = await registry.exposition()
        #expect(!text.contains("undeclared"))
        #expect(text.contains("\njobs_total 0\n"))
        #expect(!text.contains("work_seconds_total"))
    }

    @Test func `label values without end end up in one series`() async {
        for number in 0..<1000 {
            Counter(label: "work_seconds_total", dimensions: [("stage", "\(number)")], factory: registry).increment()
        }
        let lines = await registry.exposition().split(separator: "\n").filter { $0.hasPrefix("work_seconds_total{") }
        #expect(lines.count == MetricRegistry.seriesMax)
        #expect(lines.contains("work_seconds_total{stage=\"other\"} 937"))
    }

    @Test func `numbers are looked up when the text is read`() async {
        registry.collect {
            [
                MetricSample("queue_bytes", ["in"], 7), MetricSample("queue_bytes", [], 1),
                MetricSample("nothing", [], 1),
            ]
        }
        let text = await registry.exposition()
        #expect(text.contains("queue_bytes{socket=\"in\"} 7\n"))
        #expect(!text.contains("nothing"))
        #expect(ExpositionLint.problems(of: text).isEmpty)
    }
}
