import Foundation

/// What the kernel says about a process.
struct ProcessReading {
    /// The largest resident set so far, in MiB.
    let peakMebibytes: Int
    /// The present resident set, in MiB.
    let residentMebibytes: Int
    /// Processor time so far, of the process and in the kernel, in seconds.
    let processorSeconds: Double

    /// Reads a process; `nil` for one that has ended.
    init?(of process: Int32) {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
            let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        else { return nil }
        peakMebibytes = (Self.number("VmHWM", in: status) ?? 0) >> 10
        residentMebibytes = (Self.number("VmRSS", in: status) ?? 0) >> 10
        // The name stands in parentheses and may have spaces. utime and stime are the 12th and 13th word behind it.
        let words = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        let ticks = words.count > 13 ? (Double(words[12]) ?? 0) + (Double(words[13]) ?? 0) : 0
        processorSeconds = ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// The daemons that a program has started, each with its role.
    static func daemons(of parent: Int32) -> [(process: Int32, role: String)] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { Int32($0) }.compactMap { process in
            guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
                number("PPid", in: status) == Int(parent),
                let command = try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)
            else { return nil }
            let words = command.split(separator: "\0")
            guard words.count > 1, words[0].hasSuffix("kfacd") else { return nil }
            return (process, String(words[1]))
        }
    }

    /// The number behind a name in /proc/PID/status.
    private static func number(_ name: String, in status: String) -> Int? {
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }
}
