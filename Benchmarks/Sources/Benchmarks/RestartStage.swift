import Foundation

/// Measures a job of many units from its plan to the restart of a coordinator that was killed in the middle.
struct RestartStage {
    private static let workers = 2
    let directory: WorkDirectory
    let binaries: String
    /// About so many units.
    let units: Int

    func measure() throws {
        let files = try TinyLayers(units: units, in: directory)
        let state = directory.file("restart")
        try? FileManager.default.removeItem(atPath: state)
        let plan = try run(["plan", files.job])
        print("\nrestart: a job of about \(units) units")
        print("  kfacctl plan: \(fixed(plan.seconds)) s, \(plan.peakMebibytes) MiB")
        let (first, endpoint) = try DaemonProgram.coordinator(binaries, state: "\(state)/coordinator")
        let admission = try run(
            ["submit", files.job, "--overwrite", "--output", "\(state)/out", "--coordinator", endpoint])
        let afterAdmission = try first.reading()
        print(
            "  admission: \(fixed(admission.seconds)) s; the coordinator then has "
                + "\(afterAdmission.residentMebibytes) MiB")
        let workers = try (1...Self.workers).map {
            try DaemonProgram.worker($0, binaries, at: endpoint, state: state)
        }
        try waitForMost(at: endpoint)
        let before = try first.reading()
        first.kill()
        let journal = try ["journal.sqlite", "journal.sqlite-wal"].reduce(0) { sum, name in
            let path = "\(state)/coordinator/\(name)"
            guard FileManager.default.fileExists(atPath: path) else { return sum }
            return sum + (try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0)
        }
        workers.forEach { $0.kill() }
        var second: DaemonProgram?
        let restart = try seconds {
            second = try DaemonProgram.coordinator(binaries, state: "\(state)/coordinator").0
        }
        guard let after = try second?.reading() else { return }
        print(
            "  after most of its units: the coordinator has \(before.residentMebibytes) MiB, its journal "
                + "\(fixed(Double(journal) / 1e6, 1)) MB")
        print(
            "  killed and started again: ready after \(fixed(restart)) s, \(after.residentMebibytes) MiB, at most "
                + "\(after.peakMebibytes) MiB")
    }

    /// Waits until nine tenths of the job are done.
    private func waitForMost(at endpoint: String) throws {
        while true {
            let output = try run(["jobs", "--output", "json", "--coordinator", endpoint]).output
            let reply = try JSONSerialization.jsonObject(with: output) as? [String: Any] ?? [:]
            guard let job = (reply["jobs"] as? [[String: Any]])?.first, let fraction = job["fraction"] as? Double,
                let state = job["state"] as? String,
                ["running", "succeeded"].contains(state)
            else {
                throw MeasurementFailure(reason: "the job does not run: \(String(decoding: output, as: UTF8.self))")
            }
            // A small job is done before it is asked about.
            if fraction >= 0.9 || state == "succeeded" { return }
            usleep(200_000)
        }
    }

    /// Runs kfacctl to its end.
    private func run(_ arguments: [String]) throws -> (seconds: Double, peakMebibytes: Int, output: Data) {
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: "\(binaries)/kfacctl")
        process.arguments = arguments
        process.standardOutput = pipe
        var (peak, output) = (0, Data())
        let elapsed = try seconds {
            try process.run()
            while process.isRunning {
                peak = max(peak, ProcessReading(of: process.processIdentifier)?.peakMebibytes ?? 0)
                usleep(5000)
            }
            // A pipe holds the few lines of these commands.
            output = pipe.fileHandleForReading.readDataToEndOfFile()
        }
        guard process.terminationStatus == 0 else {
            throw MeasurementFailure(reason: "kfacctl \(arguments.joined(separator: " ")) failed")
        }
        return (elapsed, peak, output)
    }
}
