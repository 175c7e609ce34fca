import PageMarkup

/// Accuracy over the scale α of the summed task vectors, as a file of its own.
public struct AlphaSweep: Sendable {
    private let rows: [StudyRow]

    /// The picture of these rows.
    public init(rows: [StudyRow]) {
        self.rows = rows
    }

    /// The SVG file's text; `nil` when no method was measured at more than one α.
    public var svg: String? {
        guard
            case .element(let name, let attributes, let children) = LinePlot.alphaSweep(StudyTables(rows: rows)).picture
        else { return nil }
        // A page provides background and fonts. A separate file must bring its own.
        let ground = Markup.tag("rect", ["width": "100%", "height": "100%", "fill": "#ffffff"])
        let letters = Markup.Attribute(name: "font-family", value: "system-ui, Helvetica, Arial, sans-serif")
        let ink = Markup.Attribute(name: "color", value: "#1d2430")
        return Markup.element(name: name, attributes: attributes + [letters, ink], children: [ground] + children).html
            + "\n"
    }
}

extension LinePlot {
    /// One line for each method that was measured at more than one α.
    static func alphaSweep(_ tables: StudyTables) -> LinePlot {
        let series = tables.additionSeries.filter { Set($0.rows.compactMap(\.alpha)).count > 1 }
        let lines = series.enumerated().map { index, series in
            Line(name: series.legend, label: series.label, style: .at(index), points: points(of: series))
        }
        return LinePlot(
            title: "Accuracy over the scale α of the summed task vectors",
            description: "One line for each of \(lines.count) methods; the table of task addition has the numbers at "
                + "α = 1 and at the best α.",
            xLabel: "scale α of the summed task vectors",
            yLabel: "accuracy, %",
            lines: lines,
            reference: tables.zeroShot.flatMap { $0.mean.isFinite ? $0 : nil }.map {
                Reference(label: "zero-shot \(NumberText.fixed($0.mean))", value: $0.mean)
            },
            xMark: 1,
            yBounds: 0...100
        )
    }

    private static func points(of series: StudySeries) -> [Point] {
        let byAlpha = Dictionary(grouping: series.rows.filter { $0.alpha != nil }) { $0.alpha ?? 1 }
        return byAlpha.sorted { $0.key < $1.key }.compactMap { alpha, rows in
            SeedStatistics(over: rows, \.accuracy).map { Point(x: alpha, y: $0.mean, spread: $0.deviation) }
        }
    }
}
