import PageMarkup

/// The three most important numbers of the study.
struct Headline {
    let tables: StudyTables

    var markup: [Markup] {
        let tiles = [zeroShot, unregularized, best].compactMap(\.self)
        return tiles.isEmpty ? [] : [.tag("ul", ["class": "headline"], tiles)]
    }

    private var zeroShot: Markup? {
        tables.zeroShot.map { tile($0, "the pre-trained model, without any task vector") }
    }

    private var unregularized: Markup? {
        accuracy(of: tables.additionSeries.first { $0.method.id == "linear" }).map {
            tile($0, "the sum of linearly fine-tuned vectors at α = 1, no regularizer")
        }
    }

    private var best: Markup? {
        let dataFree = tables.additionSeries.filter { !$0.method.needsOtherTasksData && $0.method.id != "linear" }
        let measured = dataFree.compactMap { series in accuracy(of: series).map { (series, $0) } }
        return measured.filter(\.1.mean.isFinite).max { $0.1.mean < $1.1.mean }.map { series, statistics in
            tile(statistics, "the best sum at α = 1 without data of other tasks: \(series.legend)")
        }
    }

    private func accuracy(of series: StudySeries?) -> SeedStatistics? {
        series.flatMap { SeedStatistics(over: $0.rowsAtUnitAlpha, \.accuracy) }
    }

    private func tile(_ statistics: SeedStatistics, _ words: String) -> Markup {
        let spread = statistics.deviation.map { " ± \(NumberText.fixed($0))" } ?? ""
        return .tag(
            "li",
            [:],
            [
                .tag(
                    "strong",
                    [:],
                    [.text(NumberText.fixed(statistics.mean)), .tag("span", [:], "\(spread) %")]
                ), .tag("span", [:], words),
            ]
        )
    }
}
