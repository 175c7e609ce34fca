import Foundation

/// A job file that a test writes.
struct JobFile {
    /// An entry of `models`.
    struct Task {
        var name: String?
        var model: String?
        var captures: [String] = []
        var factors: String?
        /// More keys, as written in the file.
        var others: [String] = []
    }

    var method = "task_arithmetic"
    var base = "base.safetensors"
    var tasks: [Task] = []
    /// The lines below `kfac`.
    var curvature: [String] = []
    var outputs = ["factors", "regularizer", "inverses", "merged", "report"]
    var output = "out"
    /// More keys of the job, as written in the file.
    var others: [String] = []

    /// The file's text.
    var text: String {
        var lines = ["merge_method: \(method)", "base_model: \(base)", "models:"]
        for task in tasks { lines += Self.entry(task) }
        if !curvature.isEmpty { lines += ["kfac:"] + curvature.map { "  \($0)" } }
        lines += ["outputs: [\(outputs.joined(separator: ", "))]", "output: \(output)"] + others
        return lines.joined(separator: "\n") + "\n"
    }

    /// Writes the file.
    ///
    /// - Throws: what Foundation throws when the file cannot be written.
    func write(to path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private static func entry(_ task: Task) -> [String] {
        var keys = [("name", task.name), ("model", task.model), ("factors", task.factors)].compactMap { key, value in
            value.map { "\(key): \($0)" }
        }
        if !task.captures.isEmpty { keys.append("captures: [\(task.captures.joined(separator: ", "))]") }
        keys += task.others
        return zip(["  - "] + Array(repeating: "    ", count: keys.count), keys).map { $0 + $1 }
    }
}
