import PageMarkup

extension StudyTables {
    /// The accuracy of each method's summed vectors, with and without tuning.
    var comparison: ReportTable? {
        let series = additionSeries
        let base = rows(of: .pretrained)
        guard !series.isEmpty else { return nil }
        let decimals = decimalsOfAlpha(series)
        let baseRows: [[ReportTable.Cell]] =
            base.isEmpty
            ? []
            : [
                [
                    .init(text: MethodName(of: "pretrained").full), .init(zeroShot), .missing, .missing, .missing,
                    .init(SeedStatistics(over: base, \.normalizedAccuracy)), .missing,
                ]
            ]
        let table = ReportTable(
            title: "Task addition",
            columns: [
                .text("method"), .number("α = 1"), .number("own ceiling"), .number("best α"), .number("at best α"),
                .number("normalised, α = 1"), .number("seeds"),
            ],
            rows: baseRows
                + series.map { series in
                    [
                        series.nameCell,
                        .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy)),
                        .init(ownCeiling(of: series)),
                        series.bestAlphaCell(decimals: decimals),
                        .init(SeedStatistics(over: series.rowsAtBestAlpha, \.accuracy)),
                        .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.normalizedAccuracy)),
                        .init(count: series.seedCount),
                    ]
                },
            caption: "Accuracy in percent on test images, mean over the tasks, of one model that carries the sum of "
                + "all task vectors. “Own ceiling”: each fine-tuned model on its own task, which bounds what a sum can "
                + "reach. “Best α”: the scale that was best on validation images. “Normalised”: in percent of the own "
                + "ceiling, task by task; it flatters methods whose ceiling is low, so read both. "
                + Self.spreadSentence
        )
        return emphasised(table, series: series, rowsBefore: baseRows.count, unitColumn: 1, bestColumn: 4)
            .withoutEmptyColumns
    }

    /// The accuracy of finished vectors that a merge method combines.
    var merges: ReportTable? {
        let series = StudySeries.all(of: rows(of: .merge))
        guard !series.isEmpty else { return nil }
        let decimals = decimalsOfAlpha(series)
        let table = ReportTable(
            title: "Post-hoc merges",
            columns: [
                .text("method"), .number("α = 1"), .number("best α"), .number("at best α"),
                .number("normalised, α = 1"), .number("seconds"), .number("seeds"),
            ],
            rows: series.map { series in
                [
                    series.nameCell,
                    .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy)),
                    series.bestAlphaCell(decimals: decimals),
                    .init(SeedStatistics(over: series.rowsAtBestAlpha, \.accuracy)),
                    .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.normalizedAccuracy)),
                    .init(optional: SeedStatistics(over: series.rows, \.seconds).map { NumberText.fixed($0.mean) }),
                    .init(count: series.seedCount),
                ]
            },
            caption: "Vectors that were fine-tuned without a regularizer, combined afterwards: accuracy in percent, "
                + "mean over the tasks." + zeroShotSentence + " " + Self.spreadSentence,
            emphasis: "the best"
        )
        return emphasised(table, series: series, rowsBefore: 0, unitColumn: 1, bestColumn: 3).withoutEmptyColumns
    }

    static var spreadSentence: String {
        "Numbers with ± are mean and sample standard deviation over the seeds; those without ± are single measurements."
    }

    /// Emphasises the best accuracy at α = 1 and at the chosen α among the methods that need no data of other tasks.
    private func emphasised(
        _ table: ReportTable,
        series: [StudySeries],
        rowsBefore: Int,
        unitColumn: Int,
        bestColumn: Int
    ) -> ReportTable {
        let before = [Double?](repeating: nil, count: rowsBefore)
        let takesPart = before.map { _ in false } + series.map { !$0.method.needsOtherTasksData }
        let unit = series.map { SeedStatistics(over: $0.rowsAtUnitAlpha, \.accuracy)?.mean }
        let best = series.map { SeedStatistics(over: $0.rowsAtBestAlpha, \.accuracy)?.mean }
        return
            table
            .emphasisingLargest(ofColumn: unitColumn, among: takesPart, values: before + unit)
            .emphasisingLargest(ofColumn: bestColumn, among: takesPart, values: before + best)
    }
}
