import Yams

extension JobSpec {
    /// Reads a job file; every problem of form is reported, not only the first.
    ///
    /// - Parameters:
    ///   - yaml: The file's text.
    ///   - fileName: The file's name, for messages.
    /// - Throws: ``JobRefusal`` with all problems of form; whether the files exist is checked later.
    public init(yaml: String, fileName: String) throws(JobRefusal) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw JobRefusal(problems: [syntaxProblem(error, fileName: fileName)])
        }
        guard let root, root.mapping != nil else {
            throw JobRefusal(problems: [
                JobProblem(
                    at: fileName,
                    "the file is not a mapping of keys to values; expected \"merge_method: …\", \"base_model: …\", "
                        + "\"models: …\" and \"output: …\".")
            ])
        }
        var reader = JobFileReader(fileName: fileName)
        let spec = reader.readJob(root)
        guard let spec, reader.problems.isEmpty else { throw JobRefusal(problems: reader.problems) }
        self = spec
    }
}

/// What the YAML parser objects to, as one sentence with its line.
private func syntaxProblem(_ error: any Error, fileName: String) -> JobProblem {
    guard let error = error as? YamlError else { return JobProblem(at: fileName, "\(error)") }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        return JobProblem(at: "\(fileName):\(mark)", "not valid YAML: \(problem).")
    case .duplicatedKeysInMapping(let duplicates, let context):
        let keys = duplicates.map { "\"\($0)\"" }.joined(separator: ", ")
        return JobProblem(
            at: "\(fileName):\(context.mark)", "this mapping has the key \(keys) twice. Remove one of them.")
    default:
        return JobProblem(at: fileName, "not valid YAML: \(error).")
    }
}
