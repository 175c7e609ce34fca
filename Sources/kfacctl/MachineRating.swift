import Console
import CostEstimate
import FileAccess
import Foundation
import LinearAlgebra
import SystemPackage

/// This machine's rates: remembered ones, or measured ones.
struct MachineRating {
    /// When to measure.
    enum Measuring {
        /// Never; without remembered rates there are none.
        case never
        /// When no rates are remembered.
        case whenUnknown
        /// Always.
        case anew
    }

    /// The lanes that compute at once.
    let lanes: Int
    /// The job's output directory, which need not exist.
    let output: FilePath
    /// Where the daemons' files are while the job runs.
    let state: FilePath
    /// The kinds of merges whose pace is asked for.
    let merges: [MergeSample]

    private let store = RateStore(environment: ProcessInfo.processInfo.environment)

    init(lanes: Int, output: FilePath, state: FilePath, merges: [MergeSample]) {
        self.lanes = lanes
        self.output = output
        self.state = state
        self.merges = merges
    }

    /// The rates, and those of the disk where the outputs will be.
    ///
    /// What is measured is remembered.
    ///
    /// - Returns: `nil` for the disk when nothing can be written there.
    /// - Throws: What the measurement throws, and ``CommandFailure`` without remembered rates when it must not measure.
    func rates(_ measuring: Measuring) throws -> (record: RateRecord, diskRate: Double?) {
        let arithmetic = ProductArithmetic.fastest
        let machine = Self.machine(arithmetic, lanes: lanes)
        let remembered = measuring == .anew ? nil : store.record(of: machine)
        let isComplete = remembered.map { record in merges.allSatisfy { record.rates.merges[$0.kind] != nil } } ?? false
        guard isComplete || measuring != .never else {
            throw CommandFailure(.failed, "this machine was not measured yet.")
        }
        let measurement = RateMeasurement(lanes: lanes, arithmetic: arithmetic, directory: state)
        var record =
            try remembered
            ?? RateRecord(machine: machine, measuredAt: Date().timeIntervalSince1970, rates: try measurement.rates())
        for merge in merges where record.rates.merges[merge.kind] == nil {
            // Without a pace a prediction is less exact.
            record.rates.merges[merge.kind] = try? measurement.pace(of: merge)
        }
        let directory = Self.existing(output)
        let device = FileStatus(of: directory, followsLinks: true).map { "\($0.device)" }
        if let device, record.disks[device] == nil, measuring != .never {
            record.disks[device] = try? RateMeasurement.diskRate(in: directory)
        }
        if record != remembered { store.remember(record) }
        return (record, device.flatMap { record.disks[$0] })
    }

    /// The nearest directory above a path that exists.
    static func existing(_ path: FilePath) -> FilePath {
        var path = path
        while !Directories.isDirectory(path), path.removeLastComponent() {}
        return path.isEmpty ? "." : path
    }

    private static func machine(_ arithmetic: ProductArithmetic, lanes: Int) -> RatedMachine {
        let own = arithmetic.ownKernels
        return RatedMachine(
            kernels: BLASEnvironment.kernelFamily + (own.isEmpty ? "" : ", \(own)"), processor: processor, lanes: lanes)
    }

    /// The processor's name in /proc/cpuinfo: its model, or the numbers of its part on Arm.
    private static var processor: String {
        let lines = (TextFile.ofKernel("/proc/cpuinfo") ?? "").split(separator: "\n")
        let names = ["model name", "CPU implementer", "CPU part"].compactMap { key in
            lines.first { $0.hasPrefix(key) }?.split(separator: ":", maxSplits: 1).last
        }
        return names.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
    }
}
