import JSONText
import PageMarkup

extension PageSection {
    /// The tensors of the merged model by what became of them, and the models that they came from.
    static func merge(_ report: JSONValue) -> PageSection? {
        guard let merge = report["merge"], merge != .null else { return nil }
        let tables = [states(merge), models(merge), differing(merge), nonFinite(merge), tied(merge), norms(merge)]
        let content = tables.compactMap { $0.map { HTMLTable($0, showsTitle: true).markup } } + files(merge)
        return content.isEmpty ? nil : PageSection(anchor: "merge", title: "Merged model", content: content)
    }

    private static func states(_ merge: JSONValue) -> ReportTable? {
        guard let tensors = merge["tensors"] else { return nil }
        let changed = merge.entries.filter { $0.key.hasPrefix("merged_") }
            .map { ("changed, " + $0.key.replacing("_", with: " "), $0.value.strings) }
        let copied = (merge["copied"]?.entries ?? [])
            .map { ("copied, " + $0.key.replacing("_", with: " "), $0.value.strings) }
        let all =
            [("changed", tensors["changed"]?.strings ?? [])] + changed
            + [("unchanged", tensors["unchanged"]?.strings ?? []), ("copied", tensors["copied"]?.strings ?? [])]
            + copied
        let rows = all.filter { !$0.1.isEmpty }.map { state, names -> [ReportTable.Cell] in
            [.init(text: state), .init(count: names.count), .name(names.joinedForReading(limit: 3))]
        }
        guard !rows.isEmpty else { return nil }
        return ReportTable(
            title: "Tensors of the merged model",
            columns: [.text("state"), .number("tensors"), .text("names")], rows: rows,
            caption:
                "Changed tensors differ from the base’s. They are also counted by the way in which they were merged; "
                + "one that was merged with factors in part is counted twice.")
    }

    private static func models(_ merge: JSONValue) -> ReportTable? {
        let models = ShownRows(
            merge["models"]?.entries ?? [], noun: "model", order: "with the most unmatched tensors"
        ) { unmatched($0) > unmatched($1) }
        let rows = models.rows.map { model -> [ReportTable.Cell] in
            let names = model.value["unmatched_names"]?.strings ?? []
            let more = unmatched(model) > names.count && !names.isEmpty ? ", …" : ""
            return [
                .name(model.key.shownName), .init(count: model.value["merged"]?.wholeNumber),
                .init(count: model.value["differing"]?.wholeNumber),
                .init(count: model.value["unmatched"]?.wholeNumber),
                names.isEmpty ? .missing : .name(names.map(\.shownName).joined(separator: ", ") + more),
            ]
        }
        guard !rows.isEmpty else { return nil }
        return ReportTable(
            title: "Tensors of each model",
            columns: [
                .text("model"), .number("merged"), .number("differ from the base"), .number("unmatched"),
                .text("unmatched names"),
            ],
            rows: rows,
            caption:
                "A model of which no tensor differs changes nothing. Unmatched tensors have names that no tensor of "
                + "the output has." + models.remark
        ).withoutEmptyColumns
    }

    private static func unmatched(_ model: JSONValue.Member) -> Int { model.value["unmatched"]?.wholeNumber ?? 0 }

    private static func differing(_ merge: JSONValue) -> ReportTable? {
        let tensors = ShownRows(merge["tensors"]?["differing"]?.entries ?? [], noun: "tensor")
        guard !tensors.rows.isEmpty else { return nil }
        return ReportTable(
            title: "Copied although models differ",
            columns: [.text("tensor"), .text("models with other values")],
            rows: tensors.rows.map {
                [.name($0.key.shownName), .name($0.value.strings.joinedForReading())]
            },
            caption: "These tensors keep the base’s values. The named models hold others, which were not taken."
                + tensors.remark)
    }

    private static func nonFinite(_ merge: JSONValue) -> ReportTable? {
        let found = (merge["non_finite"]?.entries ?? []).flatMap { checkpoint in
            checkpoint.value.entries.map { (checkpoint: checkpoint.key, tensor: $0.key, count: $0.value.wholeNumber) }
        }
        let shown = ShownRows(found, noun: "tensor", order: "with the most of them") {
            ($0.count ?? 0) > ($1.count ?? 0)
        }
        guard !shown.rows.isEmpty else { return nil }
        return ReportTable(
            title: "NaN and infinities",
            columns: [.text("tensor"), .text("checkpoint"), .number("values")],
            rows: shown.rows.map {
                [.name($0.tensor.shownName), .name($0.checkpoint.shownName), .init(count: $0.count)]
            },
            caption: "These values were merged as they are, by the rules of IEEE 754." + shown.remark)
    }

    private static func tied(_ merge: JSONValue) -> ReportTable? {
        let found = (merge["tied"]?.entries ?? []).flatMap { task in
            task.value.entries.map { (task: task.key, tensor: $0.key, other: $0.value.stringValue) }
        }
        let shown = ShownRows(found, noun: "tensor")
        guard !shown.rows.isEmpty else { return nil }
        return ReportTable(
            title: "Tied tensors",
            columns: [.text("tensor"), .text("is"), .text("of the model")],
            rows: shown.rows.map {
                [.name($0.tensor.shownName), .name(($0.other ?? "–").shownName), .name($0.task.shownName)]
            },
            caption: "Checkpoints tie these tensors to others, and do not store them." + shown.remark)
    }

    /// The norm of each merged vector, beside that of the mean of its task vectors, and how it was computed.
    private static func norms(_ merge: JSONValue) -> ReportTable? {
        let all = (merge["health"]?.entries ?? []).filter { layer in
            ["merged_norm", "iterations", "rank"].contains { layer.value[$0] != nil }
        }
        let shown = ShownRows(all, noun: "layer", order: "that kept the least of their norm") { kept($0) < kept($1) }
        guard !shown.rows.isEmpty else { return nil }
        func list(_ value: JSONValue?, _ text: (Double) -> String = NumberText.significant) -> ReportTable.Cell {
            let numbers = value?.numbers ?? []
            return numbers.isEmpty
                ? .missing : .init(text: numbers.prefix(8).map(text).joined(separator: " / "))
        }
        let rows = shown.rows.map { layer -> [ReportTable.Cell] in
            let share = kept(layer)
            return [
                .name(layer.key.shownName), list(layer.value["merged_norm"]), list(layer.value["mean_norm"]),
                share.isFinite ? .init(percent: share) : .missing, list(layer.value["rank"], NumberWords.short),
                list(layer.value["iterations"], NumberWords.short), list(layer.value["residual"]),
            ]
        }
        return ReportTable(
            title: "Norms of the merged vectors",
            columns: [
                .text("layer or parameter"), .number("merged"), .number("mean"), .number("kept"), .number("rank"),
                .number("steps"), .number("residual"),
            ],
            rows: rows,
            caption:
                "Kept is the norm of the merged vector as a share of that of the weighted mean of the task vectors. A "
                + "small share means that tasks contradict each other, or that the damping is unsuitable."
                + shown.remark
        ).withoutEmptyColumns
    }

    /// The share of the mean's norm; infinite if unknown.
    private static func kept(_ layer: JSONValue.Member) -> Double {
        guard let merged = layer.value["merged_norm"]?.numbers.first,
            let mean = layer.value["mean_norm"]?.numbers.first,
            mean > 0, merged.isFinite
        else { return .infinity }
        return merged / mean
    }

    private static func files(_ merge: JSONValue) -> [Markup] {
        let kinds = [
            ("copied", "Copied from the base beside the tensors"), ("left_out", "Left out beside the base"),
            ("not_followed", "References that were not followed"),
        ]
        return kinds.compactMap { key, words in
            guard let names = merge["files"]?[key]?.strings, !names.isEmpty else { return nil }
            return .tag("p", ["class": "reading"], "\(words): \(names.joinedForReading(limit: 20)).")
        }
    }
}
