/// The disturbances of clusters.
struct ChaosCounts {
    var runs = 0
    var kills = 0
    var stops = 0
    /// The faults of lines.
    var faults = 0
    /// Connections that these faults ended.
    var cuts = 0
    var partitions = 0

    /// Whether there was no disturbance.
    var isEmpty: Bool { kills + stops + faults + partitions == 0 }

    static func += (left: inout ChaosCounts, right: ChaosCounts) {
        left.runs += right.runs
        left.kills += right.kills
        left.stops += right.stops
        left.faults += right.faults
        left.cuts += right.cuts
        left.partitions += right.partitions
    }

    /// One line for the person who runs the tests.
    func summary(_ test: String, seed: UInt64) -> String {
        let parts = [
            ("run", runs), ("kill", kills), ("stop", stops), ("line fault", faults), ("cut", cuts),
            ("partition", partitions),
        ].filter { $0.1 > 0 }.map { "\($0.1) \($0.0)\($0.1 == 1 ? "" : "s")" }
        return "chaos (\(test)): \(parts.joined(separator: ", ")), seed \(seed)"
    }
}
