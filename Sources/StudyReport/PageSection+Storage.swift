import PageMarkup

extension PageSection {
    /// The table of what penalties store, and a picture of accuracy over storage.
    static func storage(_ penalties: [PenaltyStorage], _ tables: StudyTables) -> PageSection? {
        guard let table = tables.storage(penalties) else { return nil }
        let plot = LinePlot.storage(penalties, tables)
        let caption =
            "Mean accuracy over the tasks at α = 1, over the storage of the penalty relative to equation 8’s; the "
            + "horizontal axis is logarithmic. The level line is the best method that trains with the other tasks’ data."
        let drawn = plot.picture.map {
            [figure([.tag("div", ["class": "plot"], [$0]), plot.legend], caption: caption)]
        }
        return PageSection(anchor: "storage", title: table.title, content: [HTMLTable(table).markup] + (drawn ?? []))
    }
}

extension LinePlot {
    /// One point for each penalty that stores anything.
    static func storage(_ penalties: [PenaltyStorage], _ tables: StudyTables) -> LinePlot {
        let stored = tables.storedSeries(penalties).filter { $0.storage.relative > 0 }
        let lines = stored.enumerated().map { index, pair in
            let accuracy = SeedStatistics(over: pair.series.rowsAtUnitAlpha, \.accuracy)
            let points = accuracy.map { [Point(x: pair.storage.relative, y: $0.mean, spread: $0.deviation)] }
            return Line(
                name: pair.series.legend, label: pair.series.label, style: .at(index), points: points ?? [])
        }
        let withData = tables.additionSeries.filter(\.method.needsOtherTasksData).compactMap { series in
            SeedStatistics(over: series.rowsAtUnitAlpha, \.accuracy).flatMap { accuracy in
                accuracy.mean.isFinite ? Reference(label: series.label, value: accuracy.mean) : nil
            }
        }
        return LinePlot(
            title: "Accuracy at α = 1 over the storage of the penalty",
            description: "One point for each of \(lines.count) penalties; the table above has the numbers.",
            xLabel: "storage, relative to equation 8",
            yLabel: "accuracy at α = 1, %",
            xKind: .logarithmic,
            lines: lines,
            reference: withData.max { $0.value < $1.value },
            yBounds: 0...100
        )
    }
}
