import PageMarkup

extension PageSection {
    /// Accuracy over α, with one line for each method.
    static func alphaSweep(_ tables: StudyTables) -> PageSection? {
        let plot = LinePlot.alphaSweep(tables)
        guard let picture = plot.picture else { return nil }
        let caption =
            "Mean accuracy over the tasks for one common α; bands are ± one sample standard deviation over the seeds. "
            + "A method needs no tuning when its line is high and flat around α = 1. Each point is a measured α; "
            + "the lines between them guide the eye."
        return PageSection(
            anchor: "sweep",
            title: "Sensitivity to α",
            content: [figure([.tag("div", ["class": "plot"], [picture]), plot.legend], caption: caption)]
        )
    }

    /// Time of one evaluation of the penalty, over the number of tasks.
    static func penaltyCost(_ costs: [PenaltyCost]) -> PageSection? {
        let costs = costs.sorted { $0.taskCount < $1.taskCount }
        let measures: [(method: String, microseconds: (PenaltyCost) -> Double?)] = [
            ("tak-accumulated", \.accumulatedMicroseconds), ("tak-optimal-1", \.optimalMicroseconds),
            ("tak-per-task", \.perTaskMicroseconds),
        ]
        let lines = measures.enumerated().compactMap { index, measure -> LinePlot.Line? in
            let points = costs.compactMap { cost in
                measure.microseconds(cost).map { LinePlot.Point(x: Double(cost.taskCount), y: $0) }
            }
            guard points.contains(where: \.isFinite) else { return nil }
            // The caller chooses the number of products of the optimal form, and the method's name does not state it.
            let isOptimal = measure.method.hasPrefix("tak-optimal")
            let name = isOptimal ? "TAK optimal" : MethodName(of: measure.method).full
            let label = isOptimal ? name : MethodName(of: measure.method).short
            return .init(name: name, label: label, style: .at(index), points: points)
        }
        let isPositive = lines.flatMap(\.points).filter(\.isFinite).allSatisfy { $0.x > 0 && $0.y > 0 }
        let plot = LinePlot(
            title: "Time of one evaluation of the penalty over the number of tasks",
            description: "One line for each form of the penalty.",
            xLabel: "number of tasks that the penalty protects",
            yLabel: "time of one evaluation",
            kind: isPositive ? .logarithmic : .linear,
            lines: lines,
            xTicks: costs.count <= 10 ? costs.map { Double($0.taskCount) } : [],
            tickText: NumberText.duration(microseconds:)
        )
        guard let picture = plot.picture else { return nil }
        let caption =
            "Wall time of one evaluation of the penalty and its gradient"
            + (isPositive ? "; both axes are logarithmic" : "") + ". The per-task form evaluates one Kronecker product "
            + "for each task, so its time grows with their number; the accumulated form should stay level."
        return PageSection(
            anchor: "cost",
            title: "Cost of the penalty",
            content: [figure([.tag("div", ["class": "plot"], [picture]), plot.legend], caption: caption)]
        )
    }
}
