import JobPlan
import Testing

/// A valid job file; a test replaces parts of it.
struct JobFileText {
    var method = "task_arithmetic"
    var base = "models/base"
    var models = ["- model: models/a", "- model: models/b"]
    var rest: [String] = []
    var output = "out"

    /// The text; `models` starts in line 4.
    var yaml: String {
        let models = models.flatMap { $0.split(separator: "\n").map { "  \($0)" } }
        let lines =
            ["merge_method: \(method)", "base_model: \(base)", "models:"] + models + rest + ["output: \(output)"]
        return lines.joined(separator: "\n") + "\n"
    }

    /// The job that the text describes.
    ///
    /// - Throws: ``JobRefusal`` for a text with problems.
    func spec() throws(JobRefusal) -> JobSpec { try JobSpec(yaml: yaml, fileName: "job.yaml") }
}

/// The problems that reading a job file finds, one line each.
func problems(in yaml: String) -> [String] {
    do {
        _ = try JobSpec(yaml: yaml, fileName: "job.yaml")
        return []
    } catch {
        return error.problems.map(\.description)
    }
}
