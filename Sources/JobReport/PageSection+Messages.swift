import JSONText
import PageMarkup

extension PageSection {
    /// Warnings, and then notices.
    static func messages(_ report: JSONValue) -> PageSection? {
        let (warnings, notices) = (report["warnings"]?.strings ?? [], report["notices"]?.strings ?? [])
        guard !warnings.isEmpty || !notices.isEmpty else { return nil }
        let kinds = [("Warning", "warning", warnings), ("Notice", "notice", notices)]
        let items = kinds.flatMap { word, style, sentences in
            sentences.prefix(ReportBounds.messages).map { sentence in
                Markup.tag(
                    "li", ["class": style],
                    [.tag("strong", [:], "\(word):"), .text(" " + sentence.beginning(ReportBounds.messageCharacters))])
            }
        }
        let title = notices.isEmpty ? "Warnings" : warnings.isEmpty ? "Notices" : "Warnings and notices"
        let hidden = kinds.map { max(0, $0.2.count - ReportBounds.messages) }.reduce(0, +)
        let remark: [Markup] =
            hidden > 0
            ? [.tag("p", ["class": "reading"], "\(NumberText.count(hidden)) more stand in report.json.")] : []
        return PageSection(
            anchor: "messages", title: title, content: [.tag("ul", ["class": "messages"], items)] + remark)
    }

    /// The tasks with what each one brought.
    static func tasks(_ report: JSONValue) -> PageSection? {
        let tasks = ShownRows(report["tasks"]?.elements ?? [], noun: "task")
        guard !tasks.rows.isEmpty else { return nil }
        let rows = tasks.rows.map { task -> [ReportTable.Cell] in
            let renamed = task["renamed"]?.entries.compactMap(\.value.wholeNumber).reduce(0) {
                $0.addingReportingOverflow($1).partialValue
            }
            let isModel = task["has_checkpoint"] == .bool(true)
            return [
                .name((task["name"]?.stringValue ?? "–").shownName),
                .init(text: isModel ? "yes" : "no"),
                isModel ? .init(optional: weight(task["weight"])) : .missing,
                .init(count: task["samples"]?.wholeNumber.flatMap { $0 > 0 ? $0 : nil }),
                .init(number: task["curvature_weight"]?.number),
                .init(count: renamed),
            ]
        }
        let table = ReportTable(
            title: "Tasks",
            columns: [
                .text("task"), .text("model"), .number("weight"), .number("samples"), .number("weight of curvature"),
                .number("renamed"),
            ],
            rows: rows,
            caption: "Weight is the factor of the task’s model in the merge. The weight of curvature is its factor in "
                + "sums of factors over tasks. Renamed counts the names that the job file changed." + tasks.remark
        ).withoutEmptyColumns
        return .table("tasks", table)
    }

    /// A model's weight; a value that depends on the tensor is null.
    private static func weight(_ value: JSONValue?) -> String? {
        value.map { $0.number.map(NumberWords.exact) ?? "by tensor" }
    }
}

extension ReportTable {
    /// A table without emphasis.
    init(title: String, columns: [Column], rows: [[Cell]], caption: String) {
        self.init(title: title, columns: columns, rows: rows, caption: caption, emphasis: "")
    }
}

extension ReportTable.Cell {
    init(count: Int?) {
        self = count.map { .init(text: NumberText.count($0)) } ?? .missing
    }

    init(number: Double?) {
        self = number.map { .init(text: NumberText.significant($0)) } ?? .missing
    }

    init(percent: Double?) {
        self = percent.map { .init(text: NumberWords.percent($0)) } ?? .missing
    }

    init(optional text: String?) {
        self = text.map { .init(text: $0) } ?? .missing
    }
}
