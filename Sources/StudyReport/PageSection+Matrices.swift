import PageMarkup

extension PageSection {
    /// One map for each method and pair of tasks; all maps have the same colours.
    static func disentanglement(_ maps: [DisentanglementMap]) -> PageSection? {
        struct Key: Hashable {
            let method, firstTask, secondTask: String
            let alphas: [Double]
        }
        let drawable = maps.filter { !$0.alphas.isEmpty && !$0.errors.joined().isEmpty }
        let groups = grouped(drawable) { map in
            Key(method: map.method, firstTask: map.firstTask, secondTask: map.secondTask, alphas: map.alphas)
        }
        let means = MethodName.ordered(groups, by: \.key.method).map { key, maps in
            (key: key, seeds: maps.count, errors: SeedMean.of(maps.map(\.errors)) ?? [])
        }
        guard !means.isEmpty else { return nil }
        let largest = means.flatMap { $0.errors.joined() }.filter(\.isFinite).max() ?? 1
        // The range ends at the next tenth, so that maps of good methods are not all one pale colour.
        let highest = min(max((largest * 10).rounded(.up) / 10, 0.1), 1)
        let percent = { (fraction: Double) in NumberText.plain(fraction * 100) + " %" }
        let panels = means.map { key, seeds, errors in
            let name = MethodName(of: key.method).full
            let map = HeatMap(
                title: "\(name): disentanglement error of \(key.firstTask) and \(key.secondTask)",
                description: description(of: errors),
                alphas: key.alphas,
                values: errors,
                xLabel: "α of \(key.secondTask)",
                yLabel: "α of \(key.firstTask)",
                highest: highest
            )
            return panel(map, name: name, seeds: seeds)
        }
        let bar = ColorBar(label: "disentanglement error", highest: highest, text: percent)
        return PageSection(
            anchor: "disentanglement",
            title: "Weight disentanglement",
            content: [
                figure(
                    [.tag("div", ["class": "bar"], [bar.picture]), .tag("ul", ["class": "maps"], panels)],
                    caption: "How often the model that carries both vectors, scaled by the two α, predicts otherwise "
                        + "than the model that carries only the vector of the task in question; mean of the two tasks. "
                        + "Cells close to the page’s own colour are good: the vectors leave each other alone. The "
                        + "frame marks α = 1 for both. All maps have the same colours."
                )
            ]
        )
    }

    private static func panel(_ map: HeatMap, name: String, seeds: Int) -> Markup {
        let heading = [.tag("strong", [:], name), .text(" "), .tag("small", [:], SeedMean.words(seeds))] as [Markup]
        return .tag("li", [:], [.tag("p", [:], heading), map.picture])
    }

    private static func description(of errors: [[Double]]) -> String {
        let finite = errors.joined().filter(\.isFinite)
        guard let statistics = SeedStatistics(Array(finite)), let largest = finite.max() else { return "No numbers." }
        return "Mean \(NumberText.fixed(100 * statistics.mean)) %, largest \(NumberText.fixed(100 * largest)) %."
    }

    /// How strongly each vector changes each task's representations, computed from the factors.
    static func interference(_ figures: StudyFigures) -> PageSection? {
        matrices(
            figures.interference,
            tasks: figures.tasks,
            anchor: "interference",
            title: "Interference",
            words:
                "Row: a task vector. Column: the task whose representations it moves, by the penalty with that task’s "
                + "factors, relative to the task’s own vector (1 on the diagonal). Small off the diagonal is good.",
            highest: 1
        )
    }

    /// How strongly each vector changes each task's outputs, measured with the model.
    static func localisation(_ figures: StudyFigures) -> PageSection? {
        matrices(
            figures.localisation,
            tasks: figures.tasks,
            anchor: "localisation",
            title: "Localisation",
            words: "Row: a task vector τ. Column: the task on whose inputs ‖Jτ‖², the squared change of the linearised "
                + "model’s features, was measured, relative to the task’s own vector (1 on the diagonal). A localised vector "
                + "is strong on the diagonal only. Each table’s colours end at its own largest value.",
            highest: nil
        )
    }

    private static func matrices(
        _ matrices: [InterferenceMatrix],
        tasks: [String],
        anchor: String,
        title: String,
        words: String,
        highest: Double?
    ) -> PageSection? {
        let drawable = matrices.filter { matrix in
            !tasks.isEmpty && matrix.values.count == tasks.count && matrix.values.allSatisfy { $0.count == tasks.count }
        }
        let groups = MethodName.ordered(grouped(drawable, by: \.method), by: \.key)
        let tables = groups.compactMap { method, group -> Markup? in
            guard let values = SeedMean.of(group.map(\.values)) else { return nil }
            let largest = values.joined().filter(\.isFinite).max() ?? 0
            return HeatTable(
                name: MethodName(of: method).full,
                caption: "(\(SeedMean.words(group.count))).\(contrast(of: values))",
                rows: tasks,
                columns: tasks,
                values: values,
                highest: highest ?? (largest > 0 ? largest : 1)
            ).markup
        }
        guard !tables.isEmpty else { return nil }
        return PageSection(anchor: anchor, title: title, content: [.tag("p", ["class": "reading"], words)] + tables)
    }

    /// Groups elements by key, in the order of the keys' first occurrence.
    private static func grouped<Element, Key: Hashable>(
        _ elements: [Element],
        by key: (Element) -> Key
    ) -> [(key: Key, elements: [Element])] {
        var order: [Key] = []
        let groups = elements.reduce(into: [Key: [Element]]()) { groups, element in
            let key = key(element)
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(element)
        }
        return order.map { ($0, groups[$0] ?? []) }
    }

    /// The mean off the diagonal, as a share of the mean on it.
    private static func contrast(of values: [[Double]]) -> String {
        guard values.count > 1 else { return "" }
        let diagonal = values.indices.map { values[$0][$0] }.reduce(0, +)
        let all = values.joined().reduce(0, +)
        let share = (all - diagonal) / Double(values.count - 1) / diagonal
        guard share.isFinite else { return "" }
        return " Off the diagonal on average \(NumberText.fixed(100 * share)) % of the diagonal."
    }
}
