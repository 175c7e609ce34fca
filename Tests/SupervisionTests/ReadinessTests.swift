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
}
