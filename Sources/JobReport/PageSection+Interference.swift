import JSONText
import PageMarkup

extension PageSection {
    /// The interference of the task vectors, and their penalties.
    static func interference(_ report: JSONValue) -> PageSection? {
        let matrix = InterferenceMatrix(report)
        let content = (matrix.map(tables) ?? []) + [penalties(report)].compactMap(\.self)
        guard !content.isEmpty else { return nil }
        let words =
            "How strongly a task vector moves the representations of a task, I[i][j] = Σ tr(B_j Δ_i A_j Δ_iᵀ) over the "
            + "layers. It is measured with the task’s factors, and needs no merge."
        return PageSection(
            anchor: "interference", title: "Interference",
            content: (matrix == nil ? [] : [.tag("p", ["class": "reading"], words)]) + content)
    }

    private static func tables(_ matrix: InterferenceMatrix) -> [Markup] {
        let side = max(matrix.vectors.count, matrix.tasks.count)
        let matrices = side > ReportBounds.matrixSide ? [strongest(matrix)] : [relative(matrix), measured(matrix)]
        return matrices + [layers(matrix)].compactMap(\.self)
    }

    private static func relative(_ matrix: InterferenceMatrix) -> Markup {
        var table = HeatTable(
            name: "Relative to the task’s own vector",
            caption: "1 on the diagonal. Small values off it are good: the vectors leave each other’s tasks alone."
                + contrast(matrix),
            rows: shortNames(matrix.vectors), columns: shortNames(matrix.tasks), values: matrix.normalized,
            highest: 1)
        table.corner = "vector ↓ task →"
        table.turnsColumns = hasLongNames(matrix)
        return table.markup
    }

    private static func measured(_ matrix: InterferenceMatrix) -> Markup {
        var table = HeatTable(
            name: "As measured", caption: "The values I[i][j] themselves.",
            rows: shortNames(matrix.vectors), columns: shortNames(matrix.tasks), values: matrix.values,
            highest: nil)
        table.corner = "vector ↓ task →"
        table.text = NumberText.significant
        table.turnsColumns = hasLongNames(matrix)
        return table.markup
    }

    private static func shortNames(_ names: [String]) -> [String] {
        names.map { $0.cutInTheMiddle(ReportBounds.matrixNameCharacters) }
    }

    private static func hasLongNames(_ matrix: InterferenceMatrix) -> Bool {
        matrix.tasks.count > 4 && matrix.tasks.contains { $0.count > 8 }
    }

    /// The mean off the diagonal, and its largest value.
    private static func contrast(_ matrix: InterferenceMatrix) -> String {
        let pairs = matrix.pairs.filter(\.normalized.isFinite)
        guard let strongest = pairs.max(by: { $0.normalized < $1.normalized }) else { return "" }
        let mean = pairs.map(\.normalized).reduce(0, +) / Double(pairs.count)
        return " Off the diagonal the mean is \(NumberText.significant(mean)), and the largest value, "
            + "\(NumberText.significant(strongest.normalized)), is that of the vector of "
            + "\(matrix.vectors[strongest.vector].shownName) on \(matrix.tasks[strongest.task].shownName)."
    }

    /// The strongest pairs of a matrix that is too large to be shown.
    private static func strongest(_ matrix: InterferenceMatrix) -> Markup {
        let pairs = ShownRows(
            matrix.pairs, noun: "pair", order: "with the strongest relative interference"
        ) { strength($0) > strength($1) }
        let rows = pairs.rows.map { pair -> [ReportTable.Cell] in
            [
                .name(matrix.vectors[pair.vector].shownName), .name(matrix.tasks[pair.task].shownName),
                .init(number: pair.normalized), .init(number: pair.value),
            ]
        }
        let table = ReportTable(
            title: "Strongest interference",
            columns: [.text("vector"), .text("task"), .number("relative"), .number("as measured")], rows: rows,
            caption: "Relative means divided by that of the task’s own vector. Small values are good. A matrix of "
                + "\(NumberText.count(matrix.vectors.count)) vectors and \(NumberText.count(matrix.tasks.count)) tasks "
                + "is too large for a page." + pairs.remark)
        return HTMLTable(table, showsTitle: true).markup
    }

    private static func strength(_ pair: InterferenceMatrix.Pair) -> Double {
        pair.normalized.isFinite ? pair.normalized : -1
    }

    /// The layers by their part of the interference off the diagonal.
    private static func layers(_ matrix: InterferenceMatrix) -> Markup? {
        let parts = matrix.layerParts.filter { $0.sum.isFinite }
        let total = parts.map(\.sum).reduce(0, +)
        guard parts.count > 1, total > 0 else { return nil }
        let shown = ShownRows(
            parts.sorted { $0.sum > $1.sum }, limit: 20, noun: "layer", order: "with the largest share"
        ) {
            $0.sum > $1.sum
        }
        let rows = shown.rows.map { part -> [ReportTable.Cell] in
            [
                .name(part.name.shownName), .init(percent: part.sum / total),
                .name(matrix.vectors[part.vector].shownName), .name(matrix.tasks[part.task].shownName),
                .init(number: part.largest),
            ]
        }
        return HTMLTable(
            ReportTable(
                title: "Interference by layer",
                columns: [
                    .text("layer or parameter"), .number("share"), .text("strongest vector"), .text("on task"),
                    .number("as measured"),
                ],
                rows: rows,
                caption: "Where the interference off the diagonal comes from: each layer’s share of its sum, and the "
                    + "layer’s strongest pair." + shown.remark),
            showsTitle: true
        ).markup
    }

    /// Ω of each task's own vector.
    private static func penalties(_ report: JSONValue) -> Markup? {
        let tasks = ShownRows(report["penalties"]?.entries ?? [], noun: "task")
        guard !tasks.rows.isEmpty else { return nil }
        let rows = tasks.rows.map { task -> [ReportTable.Cell] in
            let values = task.value.entries.compactMap { member in member.value.number.map { (member.key, $0) } }
            let largest = values.max { $0.1 < $1.1 }
            return [
                .name(task.key.shownName), .init(number: values.map(\.1).reduce(0, +)),
                largest.map { .name($0.0.shownName) } ?? .missing, .init(number: largest?.1),
            ]
        }
        let shares =
            report["pseudo_rows"]?["floor"] == nil
            ? ""
            : " Joint rows have one sum over all layers: a layer’s part is its share of it, which may be negative, "
                + "and its floor."
        return HTMLTable(
            ReportTable(
                title: "Penalties",
                columns: [.text("task"), .number("Ω"), .text("largest part"), .number("of it")], rows: rows,
                caption: "Ω of each task’s own vector under the regularizer of the other tasks, without its factor β: "
                    + "the sum over all layers, and the layer with the largest part." + shares + tasks.remark),
            showsTitle: true
        ).markup
    }
}
