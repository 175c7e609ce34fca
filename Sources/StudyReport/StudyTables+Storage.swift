import PageMarkup

extension StudyTables {
    /// What each penalty keeps and shares, and the accuracy that it gives; the least storage first.
    ///
    /// Methods that train with other tasks' data come last.
    func storage(_ penalties: [PenaltyStorage]) -> ReportTable? {
        let lines = storedSeries(penalties)
        guard !lines.isEmpty else { return nil }
        let withData = additionSeries.filter(\.method.needsOtherTasksData)
        let table = ReportTable(
            title: "Storage of the penalty",
            columns: [
                .text("method"), .number("numbers"), .number("relative to eq. 8"), .number("at ViT-B/32’s shapes"),
                .number("α = 1"), .number("own ceiling"), .number("seeds"),
            ],
            rows: lines.map { storage, series in
                [
                    series.nameCell, .init(text: "\(storage.elementCount)"),
                    .init(text: NumberText.fixed(storage.relative, 2)),
                    .init(text: NumberText.fixed(storage.largeRelative, 2)),
                ] + accuracyCells(series)
            }
                + withData.map { series in
                    [series.nameCell, .init(text: "data"), .missing, .missing] + accuracyCells(series)
                },
            caption: "The numbers that a task’s owner must keep and share for one target: of a symmetric matrix its "
                + "triangle, of joint rows all elements and their weights, of a mixture of inputs the means and directions, in fp32. “Relative to eq. 8”: divided by the "
                + "triangles of one K-FAC factor pair of each layer and one block of each one-dimensional parameter. "
                + "“At ViT-B/32’s shapes”: the same ratio for the image encoder of CLIP ViT-B/32 on 50 positions, "
                + "counted by shapes alone; the accuracy there is not measured. " + Self.spreadSentence
        )
        let takesPart = lines.map { _ in true } + withData.map { _ in false }
        let values = (lines.map(\.series) + withData).map { SeedStatistics(over: $0.rowsAtUnitAlpha, \.accuracy)?.mean }
        return table.emphasisingLargest(ofColumn: 4, among: takesPart, values: values)
    }

    /// The penalties whose sums were measured at α = 1, the least storage first.
    func storedSeries(_ penalties: [PenaltyStorage]) -> [(storage: PenaltyStorage, series: StudySeries)] {
        let pairs = additionSeries.filter { !$0.rowsAtUnitAlpha.isEmpty }.flatMap { series in
            penalties.filter { $0.method == series.method.id }.map { (storage: $0, series: series) }
        }
        return pairs.enumerated()
            .sorted { ($0.element.storage.elementCount, $0.offset) < ($1.element.storage.elementCount, $1.offset) }
            .map(\.element)
    }

    private func accuracyCells(_ series: StudySeries) -> [ReportTable.Cell] {
        [
            .init(SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy)), .init(ownCeiling(of: series)),
            .init(count: series.seedCount),
        ]
    }
}
