/// A control group that a process belongs to: one line of `/proc/self/cgroup`.
struct ControlGroupMembership: Equatable {
    /// The controllers of the group's hierarchy; empty for the unified hierarchy, which has them all.
    let controllers: Set<String>
    /// The group's path from the root of its hierarchy.
    let path: String

    /// Reads lines `<number>:<controllers>:<path>`; the path may hold colons.
    static func all(in text: String) -> [ControlGroupMembership] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].hasPrefix("/") else { return nil }
            return ControlGroupMembership(
                controllers: Set(fields[1].split(separator: ",").map(String.init)), path: String(fields[2]))
        }
    }
}
