/// Filtered values that hold for no tensor: those of a filter that is in no name, and those behind a value for all.
///
/// mergekit passes over them in silence. A misspelt filter would leave a model as it is.
struct IdleFilters {
    private let names: [String]
    private(set) var notices: [JobNotice] = []

    /// Examines all parameters of a job.
    init(_ spec: JobSpec, tensors names: [String]) {
        self.names = names
        add(spec.parameters, at: spec.fileName, of: "the job")
        for task in spec.tasks { add(task.parameters, at: task.location, of: "task \"\(task.name)\"") }
        if let listed = spec.listedBase { add(listed.parameters, at: listed.location, of: "the base") }
    }

    private mutating func add(_ parameters: MergeParameters, at location: String, of owner: String) {
        for (name, setting) in parameters.byName {
            for sentence in sentences(setting) {
                notices.append(JobNotice(at: location, "\"\(name)\" of \(owner): \(sentence)"))
            }
        }
    }

    private func sentences(_ setting: ParameterSetting) -> [String] {
        switch setting {
        case .scalar, .gradient, .word: return []
        // A filter may be meant for one of the slices.
        case .bySlice: return []
        case .filtered(let cases):
            var left = names
            var (absent, late): ([String], [String]) = ([], [])
            for filtered in cases {
                let filter = filtered.filter ?? "*"
                guard names.contains(where: filtered.holds) || filter == "*" else {
                    absent.append(filter)
                    continue
                }
                let others = left.filter { !filtered.holds(for: $0) }
                if others.count == left.count, filter != "*" { late.append(filter) }
                left = others
            }
            return (absent.isEmpty ? [] : [absence(absent)])
                + (late.isEmpty
                    ? []
                    : [
                        "earlier filters hold for all tensors of \(late.quotedList), so what stands there has no effect. "
                            + "Move it before them."
                    ])
        }
    }

    private func absence(_ filters: [String]) -> String {
        let one = filters.count == 1
        let isGlob = filters.contains { $0.contains("*") }
        return "the filter\(one ? "" : "s") \(filters.quotedList) \(one ? "is" : "are") in no tensor's name, so "
            + "\(one ? "its value has" : "their values have") no effect."
            + (isGlob ? " A filter is a part of the name, without \"*\"." : "")
    }
}
