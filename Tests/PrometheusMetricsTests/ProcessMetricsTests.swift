import PrometheusMetrics
import Testing

@Suite struct ProcessMetricsTests {
    @Test func `the kernel's texts are understood`() {
        let fields = ["S"] + Array(repeating: "0", count: 10) + ["150", "50", "0", "0", "0", "0", "0", "0", "1200"]
        let status = "17 (a (b) c) " + (fields + ["4096", "3"]).joined(separator: " ") + " 0 0"
        let metrics = ProcessMetrics(
            status: status, system: "cpu 1 2\nbtime 1000\nprocesses 3\n",
            limits:
                "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n",
            openFiles: 9, ticksPerSecond: 100, pageBytes: 4096)
        #expect(
            metrics.samples == [
                MetricSample("process_cpu_seconds_total", [], 2.0),
                MetricSample("process_virtual_memory_bytes", [], 4096),
                MetricSample("process_resident_memory_bytes", [], 12_288),
                MetricSample("process_start_time_seconds", [], 1012.0), MetricSample("process_open_fds", [], 9),
                MetricSample("process_max_fds", [], 1024),
            ])
    }

    @Test func `what is not there is left out`() {
        let metrics = ProcessMetrics(
            status: "", system: "", limits: "Max open files unlimited unlimited files\n", openFiles: nil,
            ticksPerSecond: 100, pageBytes: 4096)
        #expect(metrics.samples.isEmpty)
    }

    @Test func `this process has all of them`() {
        let names = Set(ProcessMetrics.current().samples.map(\.name))
        #expect(names == Set(ProcessMetrics.families.map(\.name)))
    }
}
