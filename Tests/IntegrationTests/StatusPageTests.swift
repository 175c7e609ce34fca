import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Health, readiness, version and metrics of real daemons over HTTP.
    @Suite struct StatusPageTests {
        private static let pages = ["KFACD_HTTP": "127.0.0.1:0"]

        private func expectLint(_ reply: HTTPReply) {
            #expect(reply.status == 200)
            #expect(reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let problems = ExpositionLint.problems(of: reply.body)
            #expect(problems.isEmpty, "\(problems)\n\(reply.body)")
        }

        /// Expects the page for people, which only a browser may read.
        private func expectOverview(_ role: String, _ parts: [String], port: UInt16) throws {
            let page = try HTTPReply(get: "/", port: port)
            #expect(page.status == 200)
            #expect(page.headers["content-type"] == "text/html; charset=utf-8")
            #expect(page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'")
            #expect(page.headers["x-content-type-options"] == "nosniff")
            #expect(page.body.hasPrefix("<!DOCTYPE html>\n"))
            let judgements = ["Ready", "Healthy"].map { "<p class=\"state good\">\($0)</p>" }
            for part in parts + judgements + ["<h1>kfacd \(role)</h1>"] {
                #expect(page.body.contains(part), "\(part)\n\(page.body)")
            }
        }

        private func expectPages(port: UInt16, role: String) throws {
            for path in ["/healthz", "/readyz"] {
                let reply = try HTTPReply(get: path, port: port)
                #expect(reply.status == 200)
                #expect(reply.body == "ok\n")
            }
            let version = try HTTPReply(get: "/version", port: port)
            #expect(version.headers["content-type"] == "application/json")
            let fields = try JSONSerialization.jsonObject(with: Data(version.body.utf8)) as? [String: String]
            #expect(fields?["version"]?.isEmpty == false)
            #expect(fields?["commit"]?.isEmpty == false)
            #expect(fields?["role"] == role)
            #expect(try HTTPReply(get: "/nothing", port: port).status == 404)
            expectLint(try HTTPReply(get: "/metrics", port: port))
        }

        @Test func `the pages of both daemons tell how a job went`() async throws {
            let model = try SmallModel()
            try await Cluster.with(environment: Self.pages) { cluster in
                let worker = try cluster.startWorker("observed", environment: Self.pages)
                let ports = (
                    coordinator: try await cluster.coordinator.statusPort(), worker: try await worker.statusPort()
                )
                try await cluster.waitForWorkers(1)
                try expectPages(port: ports.coordinator, role: "coordinator")
                try expectPages(port: ports.worker, role: "worker")
                let job = try await cluster.submit(model.jobPath)
                let status = try await cluster.waitForSuccess(job)
                let coordinator = try HTTPReply(get: "/metrics", port: ports.coordinator)
                expectLint(coordinator)
                #expect(try coordinator.value("kfacd_jobs{state=\"succeeded\"}") == 1)
                #expect(try coordinator.value("kfacd_workers{state=\"idle\"}") == 1)
                #expect(try coordinator.value("kfacd_last_success_timestamp_seconds{job=\"\(job)\"}") > 1e9)
                #expect(try coordinator.value("kfacd_workers{state=\"draining\"}") == 0)
                #expect(try coordinator.value("kfacd_unit_failures_total{kind=\"world\"}") == 0)
                // No job runs any more, so the values of running jobs are gone.
                #expect(try coordinator.value("kfacd_factor_bytes{kind=\"A\"}") == 0)
                #expect(!coordinator.body.contains("kfacd_units{"))
                for task in SmallModel.taskNames {
                    let samples = try coordinator.value("kfacd_examples_processed_total{task=\"\(task)\"}")
                    #expect(abs(samples - Double(SmallModel.samples)) < 1e-9)
                }
                #expect(try coordinator.value("kfacd_lease_expirations_total") == 0)
                let computed = try coordinator.value("kfacd_unit_duration_seconds_count{stage=\"factor\"}")
                #expect(computed > 0)
                #expect(computed < Double(status.totalUnits))
                let own = try HTTPReply(get: "/metrics", port: ports.worker)
                expectLint(own)
                #expect(try own.value("kfacd_unit_duration_seconds_count{stage=\"factor\"}") == computed)
                #expect(try own.value("kfacd_blas_seconds_total{op=\"rank_update\"}") > 0)
                // The automatic backend depends on the processor.
                let backends = [
                    "blas\",kernels=\"OpenBLAS ", "fma\",kernels=\"FMA up to 384 columns\"",
                    "bf16\",kernels=\"AVX512-BF16, FMA up to 384 columns\"",
                ]
                #expect(backends.contains { own.body.contains("kfacd_factor_backend_info{backend=\"\($0)") })
                // The worker's sent bytes are the coordinator's received bytes, except for bytes on the way and those
                // of clients.
                let sent = try own.value("kfacd_network_transmit_bytes_total{peer=\"coordinator\"}")
                let received = "kfacd_network_receive_bytes_total{peer=\"observed\"}"
                #expect(try coordinator.value(received) > 0)
                // The coordinator's page is older. Until the greeting is read, a connection is counted as a client's.
                let greetingBytes = 1000.0
                #expect(
                    try HTTPReply(get: "/metrics", port: ports.coordinator).value(received) >= sent - greetingBytes)
                #expect(try coordinator.value("kfacd_network_receive_bytes_total{peer=\"client\"}") > 0)
                #expect(sent > 0)
                let units = "<div>\(status.totalUnits)/\(status.totalUnits)</div>"
                try expectOverview(
                    "coordinator",
                    [
                        "<p class=\"status\">no job, 1 worker</p>", "<h2>Ended jobs</h2>", "<div>\(job)</div>",
                        "<span class=\"state good\">succeeded</span>", units, "<div>observed",
                        "<span class=\"state idle\">idle</span>", "<h2>Recent warnings</h2>",
                        "units in the last 60 minutes",
                    ], port: ports.coordinator)
                try expectOverview(
                    "worker",
                    [
                        "<p class=\"status\">0 units under way, 0 queued</p>", "<h2>Lanes</h2>",
                        "<span class=\"state idle\">idle</span>",
                    ],
                    port: ports.worker)
            }
        }

        @Test func `a worker whose coordinator is gone is well but not ready`() async throws {
            try await Cluster.with(environment: Self.pages) { cluster in
                let worker = try cluster.startWorker("left", environment: Self.pages)
                let port = try await worker.statusPort()
                try await cluster.waitForWorkers(1)
                cluster.coordinator.send(SIGKILL)
                try await eventually("the loss of readiness") {
                    try HTTPReply(get: "/readyz", port: port).status == 503
                }
                #expect(try HTTPReply(get: "/readyz", port: port).body == "greeting the coordinator\n")
                #expect(try HTTPReply(get: "/healthz", port: port).status == 200)
            }
        }

        @Test func `a port that is taken is named with what to do`() async throws {
            try await Cluster.with(environment: Self.pages) { cluster in
                let port = try await cluster.coordinator.statusPort()
                let second = try RunningProgram(
                    Programs.daemon,
                    [
                        "coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory",
                        cluster.directory.appending("second"), "--http", "127.0.0.1:\(port)",
                    ], name: "second", in: cluster.directory)
                #expect(try await second.exitCode() == 1)
                #expect(
                    second.errors.contains(
                        "the status pages cannot be served at 127.0.0.1:\(port): another process listens there. "
                            + "Choose another address with --http, or \\\"--http off\\\"."), "\(second.logTail)")
                #expect(second.output.isEmpty)
            }
        }
    }
}
