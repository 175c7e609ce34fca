import PrometheusMetrics
import Supervision
import Synchronization
import Testing

@Suite struct ReadinessTests {
    @Test func `the first readiness is told once, and later observers at once`() {
        let readiness = Readiness()
        let count = Mutex(0)
        readiness.whenFirstReady { count.withLock { $0 += 1 } }
        #expect(readiness.reason == "starting")
        #expect(!readiness.hasBeenSet)
        readiness.set()
        #expect(readiness.reason == nil)
        readiness.clear("draining")
        #expect(readiness.reason == "draining")
        readiness.set()
        #expect(count.withLock { $0 } == 1)
        readiness.whenFirstReady { count.withLock { $0 += 1 } }
        #expect(count.withLock { $0 } == 2)
    }

    @Test func `the status comes from whoever describes it`() async {
        let supervision = DaemonSupervision(families: [MetricFamily("up", help: "Up.", kind: .gauge)])
        #expect(await supervision.status == "starting")
        supervision.describe { "12/48 units" }
        #expect(await supervision.status == "12/48 units")
    }

    @Test func `tables come from whoever has them, and hold no more rows than they may`() async {
        let supervision = DaemonSupervision()
        #expect(await supervision.sections.isEmpty)
        supervision.show {
            [.table(StatusTable("Jobs", columns: ["job"], of: Array(1...5), limit: 3) { [.text("job-\($0)")] })]
        }
        let tables = await supervision.sections.compactMap { section in
            if case .table(let table) = section { table } else { nil }
        }
        let rows: [[StatusTable.Cell]] = [[.text("job-1")], [.text("job-2")], [.text("job-3")]]
        #expect(tables.count == 1)
        #expect(tables.first?.rows == rows)
        #expect(tables.first?.hiddenRows == 2)
        let small = StatusTable("Jobs", columns: ["job"], of: [1], limit: 3) { [.number("\($0)")] }
        #expect(small.hiddenRows == 0)
    }
}
