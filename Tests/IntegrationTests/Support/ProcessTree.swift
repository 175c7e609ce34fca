import Foundation

/// The descendants of a process, from /proc.
struct ProcessTree {
    /// A process: its number and its start time, which tells it from a later process of the same number.
    struct Member: Hashable {
        let number: pid_t
        let startTime: String
        let command: String
    }

    /// The descendants of the process whose command line holds a text, itself included.
    static func below(_ mark: String) -> Set<Member> {
        var parents: [pid_t: pid_t] = [:]
        var members: [pid_t: Member] = [:]
        var found: Set<pid_t> = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let number = pid_t(name), let (parent, startTime) = status(number),
                let data = FileManager.default.contents(atPath: "/proc/\(name)/cmdline")
            else { continue }
            let command = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\0", with: " ")
            parents[number] = parent
            members[number] = Member(number: number, startTime: startTime, command: command)
            if command.contains(mark) { found.insert(number) }
        }
        while true {
            let more = found.union(parents.filter { found.contains($0.value) }.keys)
            if more == found { return Set(found.compactMap { members[$0] }) }
            found = more
        }
    }

    /// The members that still run.
    static func running(_ members: Set<Member>) -> Set<Member> {
        members.filter { status($0.number)?.startTime == $0.startTime }
    }

    /// Fields 4 and 22 of `/proc/<number>/stat`; field 2, the command, may hold spaces and ends with a parenthesis.
    private static func status(_ number: pid_t) -> (parent: pid_t, startTime: String)? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(number)/stat") else { return nil }
        let fields = String(decoding: data, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 19, fields[0] != "Z", let parent = pid_t(fields[1]) else { return nil }
        return (parent, String(fields[19]))
    }
}
