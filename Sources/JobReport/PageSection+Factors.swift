import JSONText
import PageMarkup

extension PageSection {
    /// The factors of every layer with their sizes and traces.
    static func factors(_ report: JSONValue) -> PageSection? {
        let layers = ShownRows(
            (report["layers"]?.elements ?? []).map(FactorRow.init), noun: "layer", order: "with the largest factors"
        ) { $0.numbers > $1.numbers }
        let unreached = report["layers_without_rows"]?.strings ?? []
        let remark: [Markup] =
            unreached.isEmpty
            ? []
            : [
                .tag(
                    "p", ["class": "reading"],
                    "No task has rows of these layers and parameters, so they have no factors: "
                        + unreached.joinedForReading(limit: 20) + ".")
            ]
        guard !layers.rows.isEmpty else { return nil }
        let rows = layers.rows.map { layer -> [ReportTable.Cell] in
            [
                .name(layer.name.shownName), .init(text: layer.sizes), .init(text: NumberWords.short(layer.numbers)),
                .init(optional: layer.traces(["A"])), .init(optional: layer.traces(["B"])),
                .init(optional: layer.traces(["F"])), .init(optional: layer.balance),
                layer.missing.isEmpty ? .missing : .name(layer.missing.joinedForReading()),
            ]
        }
        let table = ReportTable(
            title: "Factors",
            columns: [
                .text("layer or parameter"), .text("dimensions"), .number("numbers"), .number("trace of A"),
                .number("trace of B"), .number("trace of F"), .number("balance"), .text("no rows of"),
            ],
            rows: rows,
            caption:
                "A is the factor of a layer’s inputs, B that of its output gradients, F the whole block of another "
                + "parameter. Numbers counts the different numbers of one task’s factors. Traces are the least and the "
                + "largest over the tasks. Balance is what sums and merges multiply B by, so that the layer has its exact "
                + "trace." + layers.remark
        ).withoutEmptyColumns
        return PageSection(anchor: "factors", title: "Factors", content: [HTMLTable(table).markup] + remark)
    }

    /// The distances from equation 7, and those of shared weights from the sum of their uses.
    static func distances(_ report: JSONValue) -> PageSection? {
        let all = (report["layers"]?.elements ?? []).compactMap(DistanceRow.init)
        guard !all.isEmpty else { return nil }
        let layers = ShownRows(all, noun: "layer", order: "with the largest distance") { $0.worst > $1.worst }
        let rows = layers.rows.map { layer -> [ReportTable.Cell] in
            [
                .name(layer.name.shownName), .init(percent: layer.accumulated?.least),
                .init(percent: layer.accumulated?.largest),
                layer.accumulated.map { .name($0.name.shownName) } ?? .missing,
                .init(percent: layer.optimal?.least), .init(percent: layer.optimal?.largest),
                .init(percent: layer.uses?.largest),
            ]
        }
        let rank = report["options"]?["regularizer"]?["rank"]?.wholeNumber
        let table = ReportTable(
            title: "Distance from the sum over tasks",
            columns: [
                .text("layer"), .number("least"), .number("largest"), .text("for target"), .number("optimal, least"),
                .number("optimal, largest"), .number("shared weight"),
            ],
            rows: rows,
            caption: "How far the accumulated regularizer (equation 8) is from the sum over tasks (equation 7), in the "
                + "Frobenius norm and as a share of it, over the targets. Optimal is the same of the optimal form"
                + (rank.map { " of rank \($0)" } ?? "")
                + "; shared weight is the distance of one product for all uses of "
                + "a weight." + layers.remark
        ).withoutEmptyColumns
        let chart = RangeChart(
            title: "Distance of the accumulated regularizer by layer", axis: "distance from equation 7", kind: .linear,
            including: [0],
            rows: layers.rows.compactMap { row in
                row.accumulated.map { .init(label: row.name, from: $0.least, to: $0.largest) }
            },
            text: { NumberText.plain(100 * $0) + " %" })
        return PageSection(
            anchor: "distances", title: "Error of the accumulation",
            content: [chart.figure].compactMap(\.self) + [HTMLTable(table).markup])
    }
}

/// What a layer's factors are.
private struct FactorRow {
    private struct Factor {
        let side: String
        let dimension: Double
        let isDiagonal: Bool
        let traces: [Double]

        /// The different numbers of a symmetric matrix or of a diagonal.
        var numbers: Double { isDiagonal ? dimension : dimension * (dimension + 1) / 2 }
    }

    let name: String
    let missing: [String]
    /// The least and the largest scalar over the tasks.
    let balance: String?
    private let factors: [Factor]

    init(_ layer: JSONValue) {
        name = layer["name"]?.stringValue ?? "–"
        missing = layer["missing_curvature"]?.strings ?? []
        balance = NumberWords.range((layer["balance"]?.entries ?? []).compactMap(\.value.number))
        factors = (layer["factors"]?.elements ?? []).map { factor in
            Factor(
                side: factor["side"]?.stringValue ?? "–", dimension: factor["dimension"]?.number ?? 0,
                isDiagonal: factor["diagonal"] == .bool(true),
                traces: factor["traces"]?.entries.compactMap(\.value.number) ?? [])
        }
    }

    var numbers: Double { factors.map(\.numbers).reduce(0, +) }

    var sizes: String {
        factors.map { factor in
            let dimension = Int(exactly: factor.dimension).map(NumberText.count) ?? "–"
            return "\(factor.side.shownName) \(dimension)\(factor.isDiagonal ? ", diagonal" : " × \(dimension)")"
        }.joined(separator: "; ")
    }

    func traces(_ sides: Set<String>) -> String? {
        NumberWords.range(factors.filter { sides.contains($0.side) }.flatMap(\.traces))
    }
}

/// The distances of one layer's regularizers.
private struct DistanceRow {
    /// Distances over the targets.
    struct Distances {
        let least: Double
        let largest: Double
        /// The target of the largest.
        let name: String

        init?(_ value: JSONValue?) {
            let found = (value?.entries ?? []).compactMap { member in member.value.number.map { (member.key, $0) } }
            guard let largest = found.max(by: { $0.1 < $1.1 }), let least = found.map(\.1).min() else { return nil }
            (self.least, self.largest, name) = (least, largest.1, largest.0)
        }
    }

    let name: String
    let accumulated: Distances?
    let optimal: Distances?
    let uses: Distances?

    init?(_ layer: JSONValue) {
        name = layer["name"]?.stringValue ?? "–"
        accumulated = Distances(layer["accumulation_error"])
        optimal = Distances(layer["optimal_error"])
        uses = Distances(layer["uses_error"])
        guard accumulated != nil || optimal != nil || uses != nil else { return nil }
    }

    var worst: Double { [accumulated, optimal, uses].compactMap { $0?.largest }.max() ?? 0 }
}
