import PageMarkup

extension StudyTables {
    /// The effect of one changed setting of a method.
    var ablations: ReportTable? {
        let series = StudySeries.all(of: rows(of: .ablation))
        guard !series.isEmpty else { return nil }
        let decimals = decimalsOfAlpha(series)
        let hasBestAlpha = series.contains { !$0.bestAlphas.isEmpty }
        var methods: [MethodName] = []
        for name in series.map(\.method) where !methods.contains(name) { methods.append(name) }
        let table = ReportTable(
            title: "Ablations",
            columns: [
                .text("setting"), .text("method"), .number("α = 1"), .number("difference"), .number("own ceiling"),
                .number("best α"), .number("at best α"), .number("seeds"),
            ],
            rows: methods.flatMap { method in
                let ofMethod = series.filter { $0.method == method }
                let base = base(of: method, for: ofMethod)
                return (base.map { [baseRow($0, decimals: decimals, hasBestAlpha: hasBestAlpha)] } ?? [])
                    + ofMethod.map { row($0, base: base, names: methods.count > 1, decimals: decimals) }
            },
            caption: (methods.count == 1 ? methods[0].full + ", with" : "With")
                + " one choice changed at a time: accuracy in percent of the summed vectors, mean over the tasks. "
                + "“Difference”: percentage points "
                + "above (+) or below (−) the unchanged method with the same seed. " + Self.spreadSentence
        )
        return table.withoutEmptyColumns
    }

    /// The unchanged method for the seeds of its ablations; `nil` when it is unknown or ambiguous.
    private func base(of method: MethodName, for ablations: [StudySeries]) -> StudySeries? {
        let seeds = Set(ablations.flatMap { $0.rows.map(\.seed) })
        let rows = rows(of: .addition).filter { $0.method == method.id && seeds.contains($0.seed) }
        let candidates = StudySeries.all(of: rows)
        return candidates.count == 1 ? candidates.first : nil
    }

    private func baseRow(_ base: StudySeries, decimals: Int, hasBestAlpha: Bool) -> [ReportTable.Cell] {
        [
            .init(text: base.method.full, detail: base.detail.map { "unchanged; \($0)" } ?? "unchanged"), .missing,
            .init(SeedStatistics(over: base.rowsAtUnitAlpha, \.accuracy)), .missing, .init(ownCeiling(of: base)),
            hasBestAlpha ? base.bestAlphaCell(decimals: decimals) : .missing,
            hasBestAlpha ? .init(SeedStatistics(over: base.rowsAtBestAlpha, \.accuracy)) : .missing,
            .init(count: base.seedCount),
        ]
    }

    private func row(_ series: StudySeries, base: StudySeries?, names: Bool, decimals: Int) -> [ReportTable.Cell] {
        let notes = Set(series.rows.map(\.note))
        let details = [
            series.beta.map { "β = \(NumberText.plain($0))" }, notes.count == 1 ? series.rows.first?.note : nil,
        ].compactMap(\.self)
        let difference = SeedStatistics(over: series.rowsAtUnitAlpha) { row in
            base?.rowsAtUnitAlpha.first { $0.seed == row.seed }.map { row.accuracy - $0.accuracy }
        }
        return [
            .init(text: series.setting ?? "–", detail: details.isEmpty ? nil : details.joined(separator: "; ")),
            names ? .init(text: series.method.full) : .missing,
            .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy)),
            .init(difference: difference),
            .init(ownCeiling(of: series)),
            series.bestAlphaCell(decimals: decimals),
            .init(SeedStatistics(over: series.rowsAtBestAlpha, \.accuracy)),
            .init(count: series.seedCount),
        ]
    }
}
