import PageMarkup

/// A square of cells coloured by value; both axes have the same ticks.
struct HeatMap {
    var title: String
    var description: String
    /// The scales of the rows, from below, and of the columns, from the left.
    var alphas: [Double]
    /// One row for each α, the first at the bottom.
    var values: [[Double]]
    var xLabel: String
    var yLabel: String
    /// The value of the last colour.
    var highest: Double

    private static let width = 272.0
    private static let height = 268.0
    private static let left = 50.0
    private static let top = 8.0
    private static let side = 212.0

    var picture: Markup {
        SVG.picture(
            width: Self.width,
            height: Self.height,
            title: title,
            description: description,
            [.tag("g", ["shape-rendering": "crispEdges"], cells)] + unitMark + axes
        )
    }

    private var cellSide: Double { Self.side / Double(max(alphas.count, 1)) }

    private func x(_ column: Int) -> Double { Self.left + Double(column) * cellSide }
    private func y(_ row: Int) -> Double { Self.top + Self.side - Double(row + 1) * cellSide }

    private var cells: [Markup] {
        zip(values.indices, values).prefix(alphas.count).flatMap { row, values in
            zip(values.indices, values).prefix(alphas.count).map { column, value in
                Self.cell(x: x(column), y: y(row), width: cellSide, height: cellSide, fraction: value / highest)
            }
        }
    }

    /// A coloured rectangle, grey for NaN; it overlaps its neighbours so that no gap shows.
    static func cell(x: Double, y: Double, width: Double, height: Double, fraction: Double) -> Markup {
        let step = ColorScale.step(of: fraction)
        return .tag(
            "rect",
            [
                "x": SVG.coordinate(x), "y": SVG.coordinate(y), "width": SVG.coordinate(width + 0.3),
                "height": SVG.coordinate(height + 0.3), "class": step.map(ColorScale.className) ?? "heat-none",
                "fill": step.map { ColorScale.color($0, isDark: false) } ?? "#9aa0a8",
            ]
        )
    }

    /// A frame around α = 1 for both vectors, the sum that needs no tuning.
    private var unitMark: [Markup] {
        guard let index = alphas.firstIndex(where: { abs($0 - 1) < 1e-9 }) else { return [] }
        return [
            .tag(
                "rect",
                [
                    "x": SVG.coordinate(x(index)), "y": SVG.coordinate(y(index)), "width": SVG.coordinate(cellSide),
                    "height": SVG.coordinate(cellSide), "class": "unit", "fill": "none", "stroke": "#d55e00",
                    "stroke-width": "2",
                ]
            )
        ]
    }

    private var axes: [Markup] {
        let every = max(1, (alphas.count + 6) / 7)
        let ticks = alphas.indices.filter { $0 % every == 0 }.flatMap { index -> [Markup] in
            let text = NumberText.plain(alphas[index])
            let middle = cellSide / 2
            return [
                SVG.text(
                    text, x: x(index) + middle, y: Self.top + Self.side + 16, anchor: .middle, size: 11, class: "tick"),
                SVG.text(text, x: Self.left - 7, y: y(index) + middle + 4, anchor: .end, size: 11, class: "tick"),
            ]
        }
        let center = Self.side / 2
        return ticks + [
            SVG.text(xLabel, x: Self.left + center, y: Self.height - 10, anchor: .middle),
            SVG.text(yLabel, x: 13, y: Self.top + center, anchor: .middle, turned: true),
        ]
    }
}

/// The colours of a heat map and the values that they represent.
struct ColorBar {
    var label: String
    var highest: Double
    var text: (Double) -> String

    private static let width = 340.0
    private static let barLeft = 20.0
    private static let barWidth = 300.0

    var picture: Markup {
        let stepWidth = Self.barWidth / Double(ColorScale.stepCount)
        let steps = (0..<ColorScale.stepCount).map { step in
            HeatMap.cell(
                x: Self.barLeft + Double(step) * stepWidth,
                y: 20,
                width: stepWidth,
                height: 12,
                fraction: Double(step) / Double(ColorScale.stepCount - 1)
            )
        }
        let ticks = [0, 0.5, 1].map { fraction in
            SVG.text(
                text(fraction * highest),
                x: Self.barLeft + fraction * Self.barWidth,
                y: 47,
                anchor: .middle,
                size: 11,
                class: "tick"
            )
        }
        return SVG.picture(
            width: Self.width,
            height: 52,
            title: "Colours: \(label)",
            description: "From \(text(0)), nearest to the page's own colour, to \(text(highest)).",
            [
                SVG.text(label, x: Self.width / 2, y: 13, anchor: .middle),
                .tag("g", ["shape-rendering": "crispEdges"], steps),
            ] + ticks
        )
    }
}
