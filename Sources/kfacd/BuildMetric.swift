import CBuildStamp
import LinearAlgebra
import PrometheusMetrics
import Telemetry

/// The program's version and parts, for the metrics and the version page.
enum BuildMetric {
    static let families =
        [
            MetricFamily(
                "kfacd_build_info", help: "Always 1; the labels tell what the program is.", kind: .gauge,
                labels: ["version", "commit", "role", "blas"])
        ]

    /// The commit that the build was given.
    ///
    /// A package has one; a build in a working copy is `unknown`.
    private static let commit = String(cString: kfacd_build_commit())

    /// Adds the program and its process to the metrics.
    static func add(to registry: MetricRegistry, role: String) {
        registry.collect {
            [MetricSample("kfacd_build_info", [Build.version, commit, role, BLASEnvironment.configuration], 1)]
                + ProcessMetrics.current().samples
        }
    }

    /// The fields of the version page.
    static func version(role: String) -> [(name: String, value: String)] {
        [
            ("version", Build.version), ("commit", commit), ("role", role), ("blas", BLASEnvironment.configuration),
            ("kernels", BLASEnvironment.kernels),
        ]
    }
}
