/// Filtered values that hold for no tensor: those of a filter that is in no name, and those behind a value for all.
///
/// Those of some slices can only hold for the tensors of these slices. mergekit passes over all of them in silence. A
/// misspelt filter would leave a model as it is.
struct IdleFilters {
    private let names: [String]
    /// The places of the job's slices.
    private let slices: [LayerSlice]
    /// The tensors of each slice.
    private let namesBySlice: [[String]]
    private(set) var notices: [JobNotice] = []

    /// Examines all parameters of a job.
    init(_ spec: JobSpec, of base: CheckpointInventory) {
        names = Array(base.tensors.keys)
        slices = spec.slices
        namesBySlice = Self.names(names, in: spec.slices, of: base)
        add(spec.parameters, at: spec.fileName, of: "the job")
        for task in spec.tasks { add(task.parameters, at: task.location, of: "task \"\(task.name)\"") }
        if let listed = spec.listedBase { add(listed.parameters, at: listed.location, of: "the base") }
    }

    private static func names(
        _ names: [String], in slices: [LayerSlice], of base: CheckpointInventory
    ) -> [[String]] {
        guard !slices.isEmpty else { return [] }
        var found = [[String]](repeating: [], count: slices.count)
        let depths = TensorDepths(base: base, slices: slices)
        for name in names { found[depths[name].slice].append(name) }
        return found
    }

    private mutating func add(_ parameters: MergeParameters, at location: String, of owner: String) {
        func note(_ name: String, _ setting: ParameterSetting, among names: [String], at location: String) {
            guard case .filtered(let cases) = setting else { return }
            let things = names.count == self.names.count ? "" : " of the slice"
            notices += sentences(cases, among: names, things).map {
                JobNotice(at: location, "\"\(name)\" of \(owner): \($0)")
            }
        }
        for (name, setting) in parameters.byName {
            guard case .bySlice(let levels) = setting else {
                note(name, setting, among: names, at: location)
                continue
            }
            for (setting, positions) in Self.distinct(levels) {
                // What all slices share stands outside of them.
                let isShared = positions.count == levels.count && levels.count > 1
                let place = isShared ? nil : positions.first.flatMap { slices.indices.contains($0) ? $0 : nil }
                let own = positions.filter(namesBySlice.indices.contains).flatMap { namesBySlice[$0] }
                note(name, setting, among: own, at: place.map { slices[$0].location } ?? location)
            }
        }
    }

    /// The settings of slices, each once, with the positions of the slices that have it.
    private static func distinct(_ slices: [[ParameterSetting]]) -> [(ParameterSetting, [Int])] {
        var found: [(setting: ParameterSetting, positions: [Int])] = []
        for (position, levels) in slices.enumerated() {
            for level in levels {
                if let known = found.firstIndex(where: { $0.setting == level }) {
                    if found[known].positions.last != position { found[known].positions.append(position) }
                } else {
                    found.append((level, [position]))
                }
            }
        }
        return found.map { ($0.setting, $0.positions) }
    }

    private func sentences(
        _ cases: [ParameterSetting.Filtered], among names: [String], _ things: String
    ) -> [String] {
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
        return (absent.isEmpty ? [] : [absence(absent, things)])
            + (late.isEmpty
                ? []
                : [
                    "earlier filters hold for all tensors of \(late.quotedList), so what stands there has no effect. "
                        + "Move it before them."
                ])
    }

    private func absence(_ filters: [String], _ things: String) -> String {
        let one = filters.count == 1
        let isGlob = filters.contains { $0.contains("*") }
        return "the filter\(one ? "" : "s") \(filters.quotedList) \(one ? "is" : "are") in no tensor's name\(things), "
            + "so \(one ? "its value has" : "their values have") no effect."
            + (isGlob ? " A filter is a part of the name, without \"*\"." : "")
    }
}
