import Identifiers
import KroneckerFactors
import LinearAlgebra
import PrometheusMetrics
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The counts that a worker keeps of its units.
@Suite(.timeLimit(.minutes(5)))
struct WorkerMetricsTests {
    private let registry = MetricRegistry(families: WorkerMetrics.families)

    /// Inverts a factor and counts it; returns the lines of a family's samples.
    private func lines(of family: String, inverting factor: [Float], damping: Double) async throws -> [String] {
        let metrics = WorkerMetrics(factory: registry, backend: FactorBackendRegistry.standard)
        try await Bench.run { bench in
            let input = bench.input(
                BenchUnit(
                    InvertOperation(
                        shape: .full(2), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: damping)),
                    reading: [try bench.put(factor)]))
            let (outcome, kernels, elapsed) = await bench.execute(input)
            input.blobs.release()
            metrics.note(outcome, .invert, elapsed: elapsed, kernels: kernels)
        }
        let text = await registry.exposition()
        #expect(ExpositionLint.problems(of: text).allSatisfy { $0.hasSuffix("no series") })
        return text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("kfacd_\(family)") }
    }

    @Test func `a factor that takes the damping asked for counts as one times it`() async throws {
        let lines = try await lines(of: "damping_applied_ratio", inverting: [4, 1, 2], damping: 0.5)
        #expect(lines.first == "kfacd_damping_applied_ratio_bucket{le=\"1\"} 1")
        #expect(lines.suffix(2) == ["kfacd_damping_applied_ratio_sum 1", "kfacd_damping_applied_ratio_count 1"])
    }

    @Test func `a factor that needs a hundred times the damping asked for counts as that`() async throws {
        // The eigenvalues are 1 and −0.01. So it takes more than 0.01, and the ladder climbs tenfold to 0.04.
        let factor: [Float] = [1, 0, -0.01]
        let lines = try await lines(of: "damping_applied_ratio", inverting: factor, damping: 0.0004)
        #expect(lines.contains("kfacd_damping_applied_ratio_bucket{le=\"10\"} 0"))
        #expect(lines.contains("kfacd_damping_applied_ratio_bucket{le=\"1000\"} 1"))
        #expect(lines.last == "kfacd_damping_applied_ratio_count 1")
    }

    @Test func `a factor that is to be inverted without damping has no ratio`() async throws {
        let lines = try await lines(of: "damping_applied_ratio", inverting: [4, 1, 2], damping: 0)
        #expect(lines.last == "kfacd_damping_applied_ratio_count 0")
    }

    @Test func `time in kernels is counted by what they do, from zero on`() async throws {
        let lines = try await lines(of: "blas_seconds_total", inverting: [4, 1, 2], damping: 0.5)
        let parts = lines.map { $0.split(separator: " ") }
        #expect(
            parts.map { $0[0] }
                == ["inverse", "product", "rank_update", "solve"].map {
                    "kfacd_blas_seconds_total{op=\"\($0)\"}"
                })
        #expect(try #require(Double(parts[0][1])) > 0)
        #expect(parts.dropFirst().allSatisfy { $0[1] == "0" })
    }

    @Test func `failures begin at zero, so that the first is seen as a rise`() async {
        _ = WorkerMetrics(factory: registry, backend: FactorBackendRegistry.standard)
        let text = await registry.exposition()
        for kind in UnitFailure.Kind.reported {
            #expect(text.contains("kfacd_unit_failures_total{kind=\"\(kind.word)\"} 0\n"))
        }
    }
}
