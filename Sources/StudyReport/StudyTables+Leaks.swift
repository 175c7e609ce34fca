import PageMarkup

extension StudyTables {
    /// How well images can be read from each kind of sharing, in the order of the measurements.
    static func leaks(_ figures: [LeakFigure]) -> ReportTable? {
        let groups = Self.grouped(figures)
        guard let first = figures.first else { return nil }
        let means = figures.contains { $0.seed != first.seed } ? "owners and seeds" : "owners"
        return ReportTable(
            title: "What images can be read from what is shared",
            columns: [
                .text("shared"), .number("nearest image"), .number("held out"), .number("largest"),
                .number("held out"), .number("fitted decoder"), .number("held out"), .number("told apart"),
            ],
            rows: groups.map { shared, figures in
                let values: [(LeakFigure) -> Double] = [
                    \.nearest.captured, \.nearest.heldOut, \.largest.captured, \.largest.heldOut, \.fitted.captured,
                    \.fitted.heldOut, \.membership,
                ]
                return [.init(text: shared)] + values.map { cell(figures, $0) }
            },
            caption: "Correlation in % between images of a task’s owner and what is decoded from its first layer’s "
                + "shared inputs; means over \(means). "
                + "“Nearest image”: each shared row is decoded by the model alone and compared with all captured images; "
                + "the best counts. “Largest”: of all rows. “Fitted decoder”: a linear map that was fitted to public "
                + "images of the other tasks. “Held out”: the same with as many images of the task that were not captured; "
                + "only what exceeds it tells of the captured ones. “Told apart”: how often, in %, a captured image lies "
                + "nearer to what is shared than one that was not, in all layers; 50 is chance."
        )
    }

    private static func grouped(_ figures: [LeakFigure]) -> [(shared: String, figures: [LeakFigure])] {
        var order: [String] = []
        for figure in figures where !order.contains(figure.shared) { order.append(figure.shared) }
        return order.map { shared in (shared, figures.filter { $0.shared == shared }) }
    }

    /// The mean over owners and seeds, in percent.
    private static func cell(_ figures: [LeakFigure], _ value: (LeakFigure) -> Double) -> ReportTable.Cell {
        guard let mean = SeedStatistics(figures.map(value))?.mean else { return .missing }
        return .init(text: NumberText.fixed(100 * mean))
    }
}
