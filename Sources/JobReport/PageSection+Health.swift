import PageMarkup

extension PageSection {
    /// The damping of every factor, with the condition number where it is known.
    static func health(_ all: [HealthRow]) -> PageSection? {
        let damped = all.filter { $0.used != nil || $0.condition != nil }
        guard !damped.isEmpty else { return nil }
        let shown = ShownRows(damped, noun: "factor", order: "with the most marks and the largest condition") {
            $0.isWorse(than: $1)
        }
        let rows = shown.rows.map { row -> [ReportTable.Cell] in
            let marks = row.marks
            return [
                .name(row.layer.shownName), .init(text: row.side.shownName),
                row.target.map { .name($0.shownName) } ?? .init(text: "the merge"), .init(number: row.requested),
                .init(number: row.used), .init(percent: row.share), .init(number: row.condition),
                .init(optional: row.attempts.map(NumberWords.short)),
                .init(optional: row.pinned.flatMap { $0 > 0 ? NumberWords.short($0) : nil }),
                marks.isEmpty ? .missing : .init(text: marks.joined(separator: ", "), isEmphasised: true),
            ]
        }
        let marked = damped.count { !$0.marks.isEmpty }
        let table = ReportTable(
            title: "Damping and condition",
            columns: [
                .text("layer or parameter"), .text("factor"), .text("for"), .number("damping"), .number("used"),
                .number("of the mean"), .number("condition"), .number("attempts"), .number("pinned"), .text("mark"),
            ],
            rows: rows,
            caption: "The damping that the rule gave, and the one that was used, also as a share of the factor’s mean "
                + "eigenvalue. Condition is an estimate for the damped factor. "
                + (marked == 0 ? "No factor is" : "\(marked) of \(NumberWords.count(damped.count, "factor")) are")
                + " marked. Marks are for damping above the mean eigenvalue, damping that was raised, clamped eigenvalues, "
                + "no curvature, and a condition above 10⁶, from where on single precision leaves about one digit."
                + shown.remark,
            emphasis: "what deserves a look"
        ).withoutEmptyColumns
        return PageSection(anchor: "health", title: "Damping and condition", content: [HTMLTable(table).markup])
    }

    /// What is known of the factors' eigenvalues; most factors are inverted without computing them.
    static func spectra(_ all: [HealthRow]) -> PageSection? {
        let known = all.filter(\.isOfSpectrum)
        guard !known.isEmpty else { return nil }
        let shown = ShownRows(known, noun: "factor", order: "with the largest eigenvalues") {
            ($0.largest ?? 0) > ($1.largest ?? 0)
        }
        let rows = shown.rows.map { row -> [ReportTable.Cell] in
            [
                .name(row.layer.shownName), .init(text: row.side.shownName),
                row.target.map { .name($0.shownName) } ?? .init(text: "the merge"), .init(number: row.smallest),
                .init(number: row.mean), .init(number: row.largest), .init(number: row.rank),
            ]
        }
        let table = ReportTable(
            title: "Eigenvalues",
            columns: [
                .text("layer or parameter"), .text("factor"), .text("for"), .number("smallest"), .number("mean"),
                .number("largest"), .number("rank"),
            ],
            rows: rows,
            caption:
                "The smallest and the largest eigenvalue of a factor without damping, where they were computed, and "
                + "the estimate of its rank." + shown.remark
        ).withoutEmptyColumns
        let chart = RangeChart(
            title: "Smallest to largest eigenvalue by factor", axis: "eigenvalue", kind: .logarithmic,
            rows: shown.rows.compactMap { row in
                guard let smallest = row.smallest, let largest = row.largest else { return nil }
                let target = row.target.map { ", \($0)" } ?? ""
                return .init(label: "\(row.layer) \(row.side)\(target)", from: smallest, to: largest)
            },
            text: NumberText.significant)
        return PageSection(
            anchor: "spectra", title: "Eigenvalues",
            content: [chart.figure].compactMap(\.self) + [HTMLTable(table).markup])
    }
}
