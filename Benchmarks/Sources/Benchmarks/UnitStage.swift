import Foundation

/// Measures how many trivial units a coordinator and two workers handle in a second, and what that costs each process.
struct UnitStage {
    private static let workers = 2
    let directory: WorkDirectory
    let binaries: String
    /// About so many units.
    let units: Int

    func measure() throws {
        let files = try TinyLayers(units: units, in: directory)
        let outcome = try KfacctlRun(binaries: binaries).run(
            files.job, workers: Self.workers, output: files.output)
        let stages = (outcome.report["run"] as? [String: Any])?["stages"] as? [String: [String: Any]] ?? [:]
        let count = stages.values.reduce(0) { $0 + ($1["units"] as? Int ?? 0) }
        guard let accepted = outcome.log.time(of: "job accepted"), let ended = outcome.log.time(of: "job ended") else {
            return print("\nunits: the log does not say when the job was accepted and when it ended")
        }
        let elapsed = ended.timeIntervalSince(accepted)
        print("\nunits: \(count) trivial units, \(Self.workers) workers, from the job's acceptance to its end")
        print(
            "  \(fixed(elapsed)) s, \(fixed(Double(count) / elapsed, 0)) units a second; "
                + "peak \(outcome.peakMebibytes) MiB")
        for (role, seconds) in outcome.processorSecondsByRole.sorted(by: { $0.key < $1.key }) {
            print(
                "  \(role): \(fixed(seconds)) s of processor time, "
                    + "\(fixed(seconds / Double(count) * 1e6, 0)) µs a unit")
        }
    }
}
