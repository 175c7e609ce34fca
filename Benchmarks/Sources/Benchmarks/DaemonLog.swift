import Foundation

/// The log lines of a run's daemons, from which its phases follow.
struct DaemonLog {
    let text: String

    /// The lanes of all workers together, as each states them when it is ready.
    var lanes: Int {
        lines(with: "linear algebra ready").reduce(0) { sum, line in
            let word = line.split(separator: " ").first { $0.hasPrefix("lanes=") }
            return sum + (word.flatMap { Int($0.dropFirst("lanes=".count)) } ?? 0)
        }
    }

    /// The time of the first line with a message; `nil` when there is none.
    func time(of message: String) -> Date? {
        lines(with: message).first.flatMap { line in
            let time = line.prefix { $0 != " " }
            return try? Date(String(time), strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        }
    }

    /// The lines `time level message key=value …` with a message.
    private func lines(with message: String) -> [Substring] {
        text.split(separator: "\n").filter { line in
            let words = line.split(separator: " ", maxSplits: 2)
            return words.count == 3 && words[2].hasPrefix(message)
        }
    }
}
