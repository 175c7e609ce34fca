import Foundation

/// Measures what a coordinator costs while its workers wait: real workers, which send signs of life.
struct IdleStage {
    let directory: WorkDirectory
    let binaries: String
    /// The number of workers, and for how many seconds they are watched.
    let workers: Int
    let seconds: Int

    func measure() throws {
        let state = directory.file("idle")
        try? FileManager.default.removeItem(atPath: state)
        let (coordinator, endpoint) = try DaemonProgram.coordinator(binaries, state: "\(state)/coordinator")
        let children = try (1...workers).map {
            try DaemonProgram.worker($0, binaries, at: endpoint, state: state)
        }
        // Their start costs more than their wait.
        sleep(UInt32(5 + workers / 2))
        let (before, childrenBefore) = (try coordinator.reading(), try processorSeconds(of: children))
        sleep(UInt32(seconds))
        let (after, childrenAfter) = (try coordinator.reading(), try processorSeconds(of: children))
        let share = (after.processorSeconds - before.processorSeconds) / Double(seconds)
        let each = (childrenAfter - childrenBefore) / Double(seconds) / Double(workers)
        print("\nidle: \(workers) workers wait for \(seconds) s")
        print(
            "  coordinator: \(fixed(share * 100)) % of a core, \(after.residentMebibytes) MiB; "
                + "a worker: \(fixed(each * 100)) % of a core")
        children.forEach { $0.stop() }
    }

    private func processorSeconds(of daemons: [DaemonProgram]) throws -> Double {
        try daemons.reduce(0) { $0 + (try $1.reading().processorSeconds) }
    }
}
