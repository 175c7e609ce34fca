import PageMarkup

/// The tables of a study, made from its rows; a table without rows is `nil`.
struct StudyTables {
    let rows: [StudyRow]

    func rows(of regime: StudyRegime) -> [StudyRow] { rows.filter { $0.regime == regime } }

    /// Accuracy without any task vector, in percent.
    var zeroShot: SeedStatistics? { SeedStatistics(over: rows(of: .pretrained), \.accuracy) }

    /// The series of task addition; a method with only single-task measurements has a series without rows.
    var additionSeries: [StudySeries] {
        let addition = rows(of: .addition)
        let measured = Set(addition.map(\.method))
        return StudySeries.all(of: addition + rows(of: .individual).filter { !measured.contains($0.method) })
            .map { $0.keepingOnly(.addition) }
    }

    /// The mean accuracy of each fine-tuned model on its own task, for the seeds and β of a series.
    func ownCeiling(of series: StudySeries) -> SeedStatistics? {
        if let stated = SeedStatistics(over: series.rowsAtUnitAlpha, \.ownCeiling) { return stated }
        let own = rows(of: .individual).filter {
            $0.method == series.method.id && $0.setting == series.setting && $0.isAtUnitAlpha
        }
        let sameRuns = own.filter { row in
            series.rows.contains { $0.seed == row.seed && $0.beta == row.beta }
        }
        return SeedStatistics(over: sameRuns.isEmpty && series.beta == nil ? own : sameRuns, \.accuracy)
    }

    /// The decimals that suit all chosen α of a table.
    func decimalsOfAlpha(_ series: [StudySeries]) -> Int {
        series.flatMap(\.bestAlphas).map { NumberText.decimals(of: $0, most: 3) }.max() ?? 0
    }

    /// ` Zero-shot accuracy is 62.3 %.`, for captions; empty without a measurement.
    var zeroShotSentence: String {
        zeroShot.map { " Without any task vector the model reaches \(NumberText.fixed($0.mean)) %." } ?? ""
    }
}

extension StudySeries {
    /// The same line of a table, with the rows of one regime only.
    func keepingOnly(_ regime: StudyRegime) -> StudySeries {
        StudySeries(method: method, beta: beta, setting: setting, rows: rows.filter { $0.regime == regime })
    }

    var nameCell: ReportTable.Cell { .init(text: method.full, detail: detail) }

    /// The chosen α: one value, or a range over the seeds.
    func bestAlphaCell(decimals: Int) -> ReportTable.Cell {
        .init(optional: NumberText.range(bestAlphas, decimals: decimals))
    }
}
