import ArgumentParser
import LinearAlgebra

/// Measures, in one run: each stage of kfacd beside the plain routine that bounds it.
@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfacd-benchmarks",
        abstract: "Measures kfacd beside plain BLAS, LAPACK and memcpy on this machine, all in one run.")

    @Option(help: "Directory for generated captures and outputs; the cluster job needs 13 GB.")
    var directory = "/var/tmp/kfacd-benchmarks"

    @Option(help: "The directory of the release builds of kfacd and kfacctl.")
    var binaries = "../.build/release"

    @Option(help: "The bundled eight tasks.")
    var example = "../Examples/eight-tasks"

    @Option(help: "A Python that has torch, for the comparison of training steps.")
    var torchPython: String?

    @Option(help: "Which measurements: factor, inverse, merge, cluster, lab.")
    var only: [String] = ["factor", "inverse", "merge", "cluster", "lab"]

    @Option(help: "Rows of a capture in the cluster job, for each of its 8 tasks.")
    var rows = 6400

    func run() async throws {
        BLASEnvironment.setThreadCount(1)
        print("kernels \(BLASEnvironment.kernels), \(BLASEnvironment.configuration)")
        let directory = try WorkDirectory(directory)
        if only.contains("factor") { try FactorStage(directory: directory).measure() }
        if only.contains("inverse") { try InverseStage().measure() }
        if only.contains("merge") { try MergeStage(directory: directory, binaries: binaries).measure() }
        if only.contains("cluster") {
            try ClusterJob(directory: directory, binaries: binaries, rows: rows).measure()
        }
        if only.contains("lab") { try await LabStage(example: example, python: torchPython).measure() }
    }
}
