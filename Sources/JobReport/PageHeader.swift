import JSONText
import PageMarkup
import TaskArithmetic

/// What the job was, in a few facts.
struct PageHeader {
    let report: JSONValue

    private var options: JSONValue? { report["options"] }
    private var tasks: [JSONValue] { report["tasks"]?.elements ?? [] }
    /// The method's name, if the job merged.
    private var methodName: String? { report["merge"]?["method"]?.stringValue }
    private var method: MergeMethod? { methodName.flatMap { MergeMethod(named: $0) } }
    private var modelCount: Int { tasks.count { $0["has_checkpoint"] == .bool(true) } }

    var title: String {
        guard let methodName else { return "Curvature of \(NumberWords.count(tasks.count, "task"))" }
        return "Merge of \(NumberWords.count(modelCount, "model")) by \(methodName.shownName)"
    }

    var markup: Markup {
        .tag(
            "header",
            [:],
            [.tag("h1", [:], title)] + (method.map { [.tag("p", ["class": "lead"], $0.summary)] } ?? [])
                + (facts.isEmpty ? [] : [.tag("dl", ["class": "settings"], facts)]) + run
        )
    }

    private var facts: [Markup] {
        let curved = tasks.count { $0["curvature_weight"]?.number != nil }
        let base = report["inputs"]?.elements.filter { $0["role"]?.stringValue == "base" } ?? []
        let texts: [(String, String?)] = [
            ("α", methodName == nil ? nil : alpha),
            ("Models", methodName == nil ? nil : NumberText.count(modelCount)),
            ("Tasks with curvature", curved > 0 ? NumberText.count(curved) : nil),
            ("Base", base.compactMap { $0["path"]?.stringValue }.first?.shownName),
            ("Regularizer", curved > 0 ? options?["regularizer"]?["form"]?.stringValue?.shownName : nil),
            ("Damping", curved > 0 ? damping : nil),
            ("Factors in the merge", methodName == nil ? nil : options?["precision"]?.stringValue?.shownName),
        ]
        return formula + texts.compactMap { name, text in text.map { fact(name, [.tag("bdi", [:], $0)]) } } + paper
    }

    /// The formula has a line of its own, since it is long.
    private var formula: [Markup] {
        (method?.formula).map { [fact("Formula", [.text($0)], class: "whole")] } ?? []
    }

    private func fact(_ name: String, _ value: [Markup], class style: String? = nil) -> Markup {
        .tag("div", ["class": style], [.tag("dt", [:], name), .tag("dd", [:], value)])
    }

    /// α; nil for a method without it.
    private var alpha: String? {
        guard let found = options?["lambda"] else { return nil }
        return found.number.map(NumberWords.exact) ?? "by tensor"
    }

    private var damping: String? {
        guard let rule = options?["damping"]?["rule"]?.stringValue else { return nil }
        return rule.shownName + (options?["damping"]?["value"]?.number.map { ", \(NumberWords.exact($0))" } ?? "")
    }

    private var paper: [Markup] {
        guard let paper = method?.paper else { return [] }
        let link: [Markup] =
            paper.arXiv.map { number in
                [.text(", "), .tag("a", ["href": "https://arxiv.org/abs/\(number)"], "arXiv:\(number)")]
            } ?? []
        return [fact("Paper", [.text(paper.citation)] + link)]
    }

    private var run: [Markup] {
        guard let run = report["run"], let program = run["kfacd"]?.stringValue else { return [] }
        let stages = run["stages"]?.entries.map(\.value) ?? []
        let units = stages.compactMap { $0["units"]?.wholeNumber }.reduce(0) {
            $0.addingReportingOverflow($1).partialValue
        }
        let seconds = stages.compactMap { $0["elapsed_seconds"]?.number }.reduce(0, +)
        let text =
            "Computed by \(program.shownName): \(NumberWords.count(units, "unit")), which took "
            + "\(NumberText.duration(seconds: seconds)) together."
        return [.tag("p", ["class": "run"], text)]
    }
}
