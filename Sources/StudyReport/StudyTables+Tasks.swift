import PageMarkup

extension StudyTables {
    /// The accuracy on each task at α = 1.
    ///
    /// - Parameter order: the tasks in the order of the columns. Other tasks follow by name.
    /// - Returns: the table, or `nil` when no row has accuracies by task.
    func perTask(order: [String]) -> ReportTable? {
        let measured = ([baseSeries] + additionSeries).compactMap { series -> (StudySeries, [StudyRow])? in
            let rows = series?.rowsAtUnitAlpha.filter { !$0.perTask.isEmpty } ?? []
            return series.flatMap { rows.isEmpty ? nil : ($0, rows) }
        }
        guard !measured.isEmpty else { return nil }
        let found = Set(measured.flatMap { $0.1.flatMap(\.perTask.keys) })
        let tasks = order.filter(found.contains) + found.subtracting(order).sorted()
        let means = measured.map { _, rows in
            tasks.map { task in SeedStatistics(over: rows) { $0.perTask[task] }?.mean }
                + [SeedStatistics(over: rows, \.accuracy)?.mean]
        }
        var table = ReportTable(
            title: "Task by task",
            columns: [.text("method")] + tasks.map { .number($0) } + [.number("mean")],
            rows: zip(measured, means).map { measured, means in
                [.init(text: measured.0.legend)] + means.map { .init(optional: $0.map { NumberText.fixed($0) }) }
            },
            caption:
                "Accuracy in percent on each task at α = 1, mean over the seeds. A method whose mean is good because "
                + "a few tasks are very good shows here."
        )
        let takesPart = measured.map { $0.0.method.id != "pretrained" && !$0.0.method.needsOtherTasksData }
        for column in 0...tasks.count {
            table = table.emphasisingLargest(ofColumn: column + 1, among: takesPart, values: means.map { $0[column] })
        }
        return table
    }

    private var baseSeries: StudySeries? {
        let base = rows(of: .pretrained)
        guard !base.isEmpty else { return nil }
        return StudySeries(method: MethodName(of: "pretrained"), beta: nil, setting: nil, rows: base)
    }
}
