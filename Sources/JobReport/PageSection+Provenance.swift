import JSONText
import PageMarkup

extension PageSection {
    /// The settings of the job, as the program understood them.
    static func settings(_ report: JSONValue) -> PageSection? {
        let options = report["options"]?.entries ?? []
        let pairs = options.prefix(ReportBounds.rows).flatMap { option -> [(String, String)] in
            let name = option.key.shownName.replacing("_", with: " ")
            if option.key == "groups" { return groups(option.value) }
            return [(name, option.value.words)]
        }
        guard !pairs.isEmpty else { return nil }
        return PageSection(
            anchor: "settings", title: "Settings", content: [.definitions(pairs, class: "settings")])
    }

    private static func groups(_ value: JSONValue) -> [(String, String)] {
        value.elements.prefix(ReportBounds.rows).enumerated().map { index, group in
            let strength = group["strength"]?.number.map(NumberWords.exact) ?? "–"
            let layers = group["layers"]?.strings ?? []
            let names = layers.isEmpty ? "" : ": \(layers.joinedForReading(limit: 3))"
            return ("group \(index + 1)", "strength \(strength), \(NumberWords.count(layers.count, "layer"))\(names)")
        }
    }

    /// The files that the job read, with their digests.
    static func inputs(_ report: JSONValue) -> PageSection? {
        let files = ShownRows(report["inputs"]?.elements ?? [], noun: "file")
        guard !files.rows.isEmpty else { return nil }
        let rows = files.rows.map { file -> [ReportTable.Cell] in
            [
                .name((file["path"]?.stringValue ?? "–").shownName),
                .name((file["role"]?.stringValue ?? "–").shownName),
                .init(optional: file["bytes"]?.number.map(NumberText.bytes)),
                file["sha256"]?.stringValue.map { .name($0.shownName) } ?? .missing,
                file["header_sha256"]?.stringValue.map { .name($0.shownName) } ?? .missing,
            ]
        }
        let hasDigests = files.rows.contains { $0["sha256"] != nil }
        let table = ReportTable(
            title: "Inputs",
            columns: [
                .text("file"), .text("role"), .number("size"), .text("SHA-256"), .text("SHA-256 of the header"),
            ],
            rows: hasDigests ? rows.map { Array($0.dropLast()) + [.missing] } : rows,
            caption: (hasDigests
                ? "The digests are those of the whole files." : "The contents were not read for a digest.")
                + files.remark
        ).withoutEmptyColumns
        return .table("inputs", table)
    }

    /// How the job ran.
    static func run(_ report: JSONValue) -> PageSection? {
        guard let run = report["run"], run != .null else { return nil }
        let tables = [stages(run), executors(run), regimes(run)].compactMap {
            $0.map { HTMLTable($0, showsTitle: true).markup }
        }
        let content = [stageChart(run)].compactMap(\.self) + tables + jobFile(run)
        return content.isEmpty ? nil : PageSection(anchor: "run", title: "Run", content: content)
    }

    private static func stages(_ run: JSONValue) -> ReportTable? {
        let stages = ShownRows(run["stages"]?.entries ?? [], noun: "stage")
        guard !stages.rows.isEmpty else { return nil }
        let total = stages.rows.compactMap { $0.value["elapsed_seconds"]?.number }.reduce(0, +)
        let rows = stages.rows.map { stage -> [ReportTable.Cell] in
            let elapsed = stage.value["elapsed_seconds"]?.number
            let kernels = stage.value["kernel_seconds"]?.number.flatMap { $0 > 0 ? $0 : nil }
            return [
                .init(text: stage.key.shownName), .init(count: stage.value["units"]?.wholeNumber),
                .init(optional: elapsed.map(NumberText.duration(seconds:))),
                elapsed.map { total > 0 ? .init(percent: $0 / total) : .missing } ?? .missing,
                .init(optional: kernels.map(NumberText.duration(seconds:))),
            ]
        }
        return ReportTable(
            title: "Time by stage",
            columns: [.text("stage"), .number("units"), .number("time"), .number("share"), .number("in kernels")],
            rows: rows,
            caption:
                "Times of the units, added up; units run side by side. Results that were known from an earlier job "
                + "have the time that they took then." + stages.remark)
    }

    private static func stageChart(_ run: JSONValue) -> Markup? {
        let stages = run["stages"]?.entries ?? []
        return RangeChart(
            title: "Time by stage", axis: "time of all units, in seconds", kind: .linear, including: [0],
            rows: stages.compactMap { stage in
                stage.value["elapsed_seconds"]?.number.map { .init(label: stage.key, from: 0, to: $0) }
            },
            text: NumberText.plain
        ).figure
    }

    private static func executors(_ run: JSONValue) -> ReportTable? {
        let executors = ShownRows(
            run["units_by_executor"]?.entries ?? [], noun: "executor", order: "with the most units"
        ) { ($0.value.number ?? 0) > ($1.value.number ?? 0) }
        guard !executors.rows.isEmpty else { return nil }
        return ReportTable(
            title: "Units by executor", columns: [.text("executor"), .number("units")],
            rows: executors.rows.map { [.name($0.key.shownName), .init(count: $0.value.wholeNumber)] },
            caption: "The workers and the coordinator, with the number of their units." + executors.remark)
    }

    private static func regimes(_ run: JSONValue) -> ReportTable? {
        let regimes = ShownRows(run["numeric_regimes"]?.elements ?? [], noun: "regime")
        guard !regimes.rows.isEmpty else { return nil }
        let rows = regimes.rows.map { regime -> [ReportTable.Cell] in
            let units = (regime["units"]?.entries ?? []).map { "\($0.key.shownName) \($0.value.words)" }
            return [
                .name((regime["kernels"]?.stringValue ?? "–").shownName),
                .name((regime["elements"]?.stringValue ?? "–").shownName),
                .init(text: units.joinedForReading(limit: 20)),
            ]
        }
        return ReportTable(
            title: "Numeric regimes", columns: [.text("kernels"), .text("elements"), .text("units")], rows: rows,
            caption: "Results of one regime have the same bits; those of different regimes agree up to rounding."
                + regimes.remark)
    }

    private static func jobFile(_ run: JSONValue) -> [Markup] {
        guard let text = run["job_file"]?.stringValue, !text.isEmpty else { return [] }
        let remark =
            text.unicodeScalars.count > ReportBounds.jobFileCharacters ? ", its beginning" : ", as it was given"
        return [
            .tag("h3", [:], "Job file\(remark)"),
            .tag("pre", ["dir": "auto"], [.text(text.beginning(ReportBounds.jobFileCharacters))]),
        ]
    }
}
