import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Daemons that have no descriptor left while they run.
    @Suite(.enabled(if: DescriptorShortage.isPossible, DescriptorShortage.reason))
    struct DescriptorShortageTests {
        private static let pages = ["KFACD_HTTP": "127.0.0.1:0"]

        /// Each minute of a shortage has its line.
        private func minutes(since start: ContinuousClock.Instant) -> Int {
            Int((ContinuousClock.now - start) / .seconds(60))
        }

        @Test func `a coordinator that cannot accept logs and counts it, and answers when it can`() async throws {
            try await Cluster.with(environment: Self.pages) { cluster in
                let port = try await cluster.coordinator.statusPort()
                #expect(try await cluster.client("jobs").exitCode == 0)
                let start = ContinuousClock.now
                // The descriptors of the last client are free a moment after its end.
                try await eventually("a line in the log") {
                    try await DescriptorShortage.begin(in: cluster.coordinator)
                    let answer = try await cluster.client("jobs", "--timeout", "3")
                    #expect([0, 3].contains(answer.exitCode), "\(answer.errors)")
                    return cluster.coordinator.errors.contains("refused because this process has no descriptor left")
                }
                #expect(cluster.coordinator.errors.contains("ulimit -n 4096"), "\(cluster.coordinator.logTail)")
                // The lines of a minute are one.
                let lines = cluster.coordinator.errors.split(separator: "\n").filter { $0.contains("no descriptor") }
                #expect((1...1 + minutes(since: start)).contains(lines.count), "\(lines)")
                try await DescriptorShortage.end(in: cluster.coordinator)
                #expect(try await cluster.client("jobs").exitCode == 0)
                let metrics = try HTTPReply(get: "/metrics", port: port)
                #expect(try metrics.value("kfacd_unheard_connections_total{end=\"exhausted\"}") > 0)
                let overview = try HTTPReply(get: "/", port: port)
                #expect(overview.body.contains("no descriptor left"), "\(overview.body)")
            }
        }

        @Test func `a page that cannot be accepted waits without work, and is answered when it can`() async throws {
            try await Cluster.with(environment: Self.pages) { cluster in
                let port = try await cluster.coordinator.statusPort()
                try await DescriptorShortage.begin(in: cluster.coordinator)
                let before = try Self.processorSeconds(of: cluster.coordinator)
                async let page = Self.page("/healthz", port: port)
                // A server that tries again and again would use most of a core.
                try await Task.sleep(for: .seconds(5))
                let used = try Self.processorSeconds(of: cluster.coordinator) - before
                #expect(used < 1.5, "\(used) s of 5")
                try await DescriptorShortage.end(in: cluster.coordinator)
                #expect(try await page.status == 200)
            }
        }

        /// Asks on a thread of its own, because the answer may take long.
        private static func page(_ path: String, port: UInt16) async throws -> HTTPReply {
            try await withCheckedThrowingContinuation { continuation in
                Thread.detachNewThread {
                    continuation.resume(with: Result { try HTTPReply(get: path, port: port) })
                }
            }
        }

        /// The processor time of a process so far.
        private static func processorSeconds(of program: RunningProgram) throws -> Double {
            let stat = try String(contentsOfFile: "/proc/\(program.number)/stat", encoding: .utf8)
            // utime and stime, the 12th and 13th word behind the name in parentheses.
            let words = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
            let ticks = try (12...13).map { try #require(Double(words[$0])) }.reduce(0, +)
            return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        }

        @Test func `a worker that cannot connect says why, once, and comes back`() async throws {
            try await Cluster.with { cluster in
                let worker = try cluster.startWorker("worker")
                try await cluster.waitForWorkers(1)
                cluster.coordinator.send(SIGKILL)
                _ = try await cluster.coordinator.exitCode()
                let start = ContinuousClock.now
                // libzmq may hold the descriptor of an attempt at this moment.
                try await eventually("a worker without descriptors", finding: worker.logTail) {
                    try await DescriptorShortage.begin(in: worker)
                    return worker.errors.contains("this process has no descriptor left")
                }
                #expect(worker.errors.contains("ulimit -n 4096"), "\(worker.logTail)")
                try await cluster.restartCoordinator()
                try await DescriptorShortage.end(in: worker)
                try await cluster.waitForWorkers(1)
                #expect(worker.isRunning)
                let lines = worker.errors.split(separator: "\n").filter { $0.contains("no descriptor left") }
                #expect((1...1 + minutes(since: start)).contains(lines.count), "\(lines)")
            }
        }
    }
}
