import ArgumentParser
import Foundation
import LinearAlgebra

/// Measures each stage of kfacd and, in the same run, the plain routine that bounds it.
@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kfacd-benchmarks",
        abstract: "Measures kfacd beside plain routines and other programs on this machine, all in one run.",
        discussion: "`make bench` builds all that it needs. The programs are those of the checkout's release build.")

    @Option(help: "Directory for generated captures and outputs; the cluster job needs 13 GB, with peers 18 GB.")
    var directory = "/var/tmp/kfacd-benchmarks"

    @Option(help: "The directory of the builds of kfacd and kfacctl.")
    var binaries = Checkout.path(".build/release")

    @Option(help: "The bundled eight tasks.")
    var example = Checkout.path("Examples/eight-tasks")

    @Option(help: "A Python that has numpy and safetensors, to compute the cluster job with.")
    var python: String?

    @Option(help: "A Python that also has torch, for the cluster job and the comparison of training steps.")
    var torchPython: String?

    @Option(
        help: "Which measurements: factor, inverse, merge, cluster, predictions, lab, scheduling, units, idle, restart."
    )
    var only: [Measured] = Measured.allCases

    @Option(help: "Rows of a capture in the cluster job, for each of its 8 tasks; 6400, or 200 with --small.")
    var rows: Int?

    @Option(name: .customLong("repeat"), help: "Rounds of the merge and of the cluster job, for medians.")
    var rounds = 1

    @Flag(help: "Sizes of seconds and megabytes: whether everything runs, not how fast.")
    var small = false

    func validate() throws {
        let programs = only.contains(where: \.needsPrograms) ? ["kfacd", "kfacctl"] : []
        for program in programs where !FileManager.default.isExecutableFile(atPath: "\(binaries)/\(program)") {
            throw ValidationError(
                "there is no program \(binaries)/\(program). Build it with \"make release\", or name the directory with "
                    + "--binaries. \"make bench\" does both.")
        }
        let base = "\(example)/base.safetensors"
        if only.contains(.lab), !FileManager.default.fileExists(atPath: base) {
            throw ValidationError("there is no \(base). Name the directory of the eight tasks with --example.")
        }
        guard rounds >= 1 else { throw ValidationError("--repeat is \(rounds); expected at least 1.") }
        if let rows, rows < 50 { throw ValidationError("--rows is \(rows); expected at least 50.") }
    }

    func run() async throws {
        BLASEnvironment.setThreadCount(1)
        print("kernels \(BLASEnvironment.kernels), \(BLASEnvironment.configuration)")
        let size: MeasuredSize = small ? .small : .full
        let directory = try WorkDirectory(directory)
        if only.contains(.factor) { try FactorStage(directory: directory, captures: size.captures).measure() }
        if only.contains(.inverse) { try InverseStage(dimensions: size.inverses).measure() }
        if only.contains(.merge) {
            try MergeStage(directory: directory, binaries: binaries, size: size, rounds: rounds).measure()
        }
        if only.contains(.cluster) {
            try ClusterJob(
                directory: directory, binaries: binaries, size: size, rows: rows ?? size.rows,
                peers: Peer.all(python: python, torchPython: torchPython), rounds: rounds
            ).measure()
        }
        if only.contains(.predictions) {
            try PredictionStage(directory: directory, binaries: binaries, size: size).measure()
        }
        if only.contains(.lab) {
            try await LabStage(example: example, python: torchPython, size: size).measure()
        }
        if only.contains(.scheduling) { try SchedulingStage(small: small).measure() }
        if only.contains(.units) {
            try UnitStage(directory: directory, binaries: binaries, units: size.trivialUnits).measure()
        }
        if only.contains(.idle) {
            try IdleStage(
                directory: directory, binaries: binaries, workers: size.idleWorkers, seconds: size.idleSeconds
            ).measure()
        }
        if only.contains(.restart) {
            try RestartStage(directory: directory, binaries: binaries, units: size.restartUnits).measure()
        }
    }
}

/// The stages that can be measured alone.
enum Measured: String, CaseIterable, ExpressibleByArgument {
    case factor, inverse, merge, cluster, predictions, lab, scheduling, units, idle, restart

    /// Whether it runs kfacd.
    var needsPrograms: Bool {
        switch self {
        case .merge, .cluster, .predictions, .units, .idle, .restart: true
        case .factor, .inverse, .lab, .scheduling: false
        }
    }
}
