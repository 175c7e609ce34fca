import PageMarkup

extension StudyRow {
    /// The share of zero-shot accuracy that the control tasks must keep when a task is subtracted.
    public static let controlShare = 0.95
}

extension StudyTables {
    /// How well a subtracted vector makes the model forget its task and nothing else.
    var negation: ReportTable? {
        let series = StudySeries.all(of: rows(of: .negation))
        guard !series.isEmpty else { return nil }
        let choices = series.map(lowestTargets)
        let decimals = choices.joined().map { NumberText.decimals(of: $0.alpha ?? 1, most: 3) }.max() ?? 0
        let table = ReportTable(
            title: "Task negation",
            columns: [
                .text("method"), .number("target, α = 1"), .number("control, α = 1"), .number("α, control ≥ 95 %"),
                .number("its target"), .number("its control"), .number("seeds"),
            ],
            rows: zip(series, choices).map { series, chosen in
                [
                    series.nameCell,
                    .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy)),
                    .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.control)),
                    .init(optional: NumberText.range(chosen.map { $0.alpha ?? 1 }, decimals: decimals)),
                    .init(SeedStatistics(over: chosen, \.accuracy)),
                    .init(SeedStatistics(over: chosen, \.control)),
                    .init(count: series.seedCount),
                ]
            },
            caption: negationCaption,
            emphasis: "the lowest target of the methods that need no data of other tasks"
        )
        return table.emphasisingLargest(
            ofColumn: 4,
            among: series.map { !$0.method.needsOtherTasksData },
            values: choices.map { chosen in SeedStatistics(over: chosen) { -$0.accuracy }?.mean }
        ).withoutEmptyColumns
    }

    /// The row of each seed whose α was chosen on validation images.
    ///
    /// Without a marked row, it is the row with the lowest target accuracy whose control tasks keep their share of
    /// zero-shot.
    ///
    /// If no measured α keeps the share, the unchanged model at α = 0 does. Empty when there are no rows, or when
    /// zero-shot accuracy is unknown.
    func lowestTargets(of series: StudySeries) -> [StudyRow] {
        guard Set(series.rows.map(\.alpha)).count > 1, let zeroShot = zeroShot?.mean else { return [] }
        let bySeed = Dictionary(grouping: series.rows, by: \.seed).sorted { ($0.key ?? .min) < ($1.key ?? .min) }
        return bySeed.map { seed, rows in
            let untouched = StudyRow(
                method: series.method.id,
                regime: .negation,
                seed: seed,
                alpha: 0,
                accuracy: zeroShot,
                control: zeroShot
            )
            if let chosen = rows.first(where: \.isBestAlpha) { return chosen }
            let admitted = rows.filter { ($0.control ?? -.infinity) >= StudyRow.controlShare * zeroShot }
            return admitted.reduce(untouched) { $1.accuracy < $0.accuracy ? $1 : $0 }
        }
    }

    private var negationCaption: String {
        let threshold = zeroShot.map { " (\(NumberText.fixed(StudyRow.controlShare * $0.mean)) %)" } ?? ""
        return
            "Each task vector subtracted from the model: accuracy in percent on its own task (target; lower is better) "
            + "and on the other tasks (control; should stay)." + zeroShotSentence
            + " “Control ≥ 95 %”: the lowest target among the measured α whose control keeps 95 % of zero-shot"
            + "\(threshold), chosen for each seed on validation images where there are any. " + Self.spreadSentence
    }
}
