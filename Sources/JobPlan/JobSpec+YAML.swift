import Identifiers
import Yams

extension JobSpec {
    /// Reads a job file and reports all problems of form.
    ///
    /// - Parameters:
    ///   - yaml: The file's text.
    ///   - fileName: The file's name, for messages.
    /// - Throws: ``JobRefusal`` with all problems of form; the existence of the files is checked later.
    public init(yaml: String, fileName: String) throws(JobRefusal) {
        let (spec, problems) = Self.reading(yaml: yaml, fileName: fileName)
        guard let spec, problems.isEmpty else { throw JobRefusal(problems: problems) }
        self = spec
    }

    /// Reads as much of a job file as possible, so that its files can be checked despite problems.
    ///
    /// - Parameters:
    ///   - yaml: The file's text.
    ///   - fileName: The file's name, for messages.
    ///   - output: The path of an output directory that replaces the file's own; the file may then have none.
    /// - Returns: The job, or `nil` when too little could be read, and every problem of form.
    public static func reading(
        yaml: String, fileName: String, output: String? = nil
    ) -> (spec: JobSpec?, problems: [JobProblem]) {
        if let problem = JobFileLimits.problem(ofText: yaml, fileName: fileName) { return (nil, [problem]) }
        let root: Node?
        do {
            // Some editors begin a file with a byte order mark, which is not part of its text.
            let hasMark = yaml.unicodeScalars.first == "\u{FEFF}"
            root = try JobDocuments.job(in: hasMark ? String(yaml.unicodeScalars.dropFirst()) : yaml)
        } catch {
            return (nil, [syntaxProblem(error, fileName: fileName, in: yaml)])
        }
        guard let root, root.mapping != nil else {
            let problem = JobProblem(
                at: fileName,
                "the file is not a mapping of keys to values; expected \"merge_method: …\", \"base_model: …\", "
                    + "\"models: …\" and \"output: …\".")
            return (nil, [problem])
        }
        if let problem = JobFileLimits.problem(ofValues: root, fileName: fileName) { return (nil, [problem]) }
        var reader = JobFileReader(fileName: fileName, output: output)
        let spec = reader.readJob(root)
        return (spec, reader.allProblems)
    }
}

/// The YAML parser's error, as one sentence with its line.
private func syntaxProblem(_ error: any Error, fileName: String, in yaml: String) -> JobProblem {
    guard let error = error as? YamlError else { return JobProblem(at: fileName, "\(error)") }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        return JobProblem(at: "\(fileName):\(mark)", "not valid YAML: \(problem).\(quotingAdvice(mark.line, in: yaml))")
    case .duplicatedKeysInMapping(let duplicates, let context):
        let keys = duplicates.prefix(10).map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
        return JobProblem(
            at: "\(fileName):\(context.mark)", "this mapping has the key \(keys) twice. Remove one of them.")
    default:
        return JobProblem(at: fileName, "not valid YAML: \(error).")
    }
}

/// What to do if a line holds a pattern without quotes: YAML reads a first `!` as a tag, and a first `*` as an alias.
private func quotingAdvice(_ line: Int, in yaml: String) -> String {
    let lines = yaml.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    // A mark at the end of a text stands on the next line.
    for line in [line - 1, line - 2] where lines.indices.contains(line) {
        guard let match = lines[line].firstMatch(of: /(?:^|[\s,\[{:])([!*][^\s,\]}:"']+)/) else { continue }
        let written = String(match.output.1).excerpt
        return " A name that begins with \"!\" or \"*\" needs quotes: \"\(written)\"."
    }
    return ""
}
