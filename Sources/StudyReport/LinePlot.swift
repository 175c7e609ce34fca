import PageMarkup

/// A plot of lines over one axis, with bands of ± one standard deviation and labels at the lines' ends.
struct LinePlot {
    struct Point: Equatable {
        let x: Double
        let y: Double
        /// Half the height of the band; `nil` when there is one value only.
        var spread: Double?

        var isFinite: Bool { x.isFinite && y.isFinite }
    }

    struct Line {
        /// The name in the legend.
        let name: String
        /// The label at the end of the line.
        let label: String
        let style: SeriesStyle
        let points: [Point]
    }

    /// A horizontal line to compare with.
    struct Reference {
        let label: String
        let value: Double
    }

    var title: String
    var description: String
    var xLabel: String
    var yLabel: String
    var kind: AxisScale.Kind = .linear
    /// The horizontal axis; nil for the same kind.
    var xKind: AxisScale.Kind?
    var lines: [Line]
    var reference: Reference?
    /// A value of the horizontal axis to mark with a thin vertical line.
    var xMark: Double?
    /// The ticks of the horizontal axis; chosen automatically when empty.
    var xTicks: [Double] = []
    /// Natural bounds of the values, such as 0 and 100 for percentages.
    var yBounds: ClosedRange<Double>?
    var tickText: (Double) -> String = NumberText.plain

    private static let width = 840.0
    private static let height = 420.0
    private static let plotLeft = 74.0
    private static let plotRight = 690.0
    private static let plotTop = 18.0
    private static let plotBottom = 366.0
    /// The distance from the plot to the labels of its lines.
    private static let labelGap = 26.0

    /// The picture; `nil` when no line has a point that can be drawn.
    var picture: Markup? {
        let points = lines.flatMap(\.points).filter(\.isFinite)
        guard let x = xScale(points), let y = yScale(points) else { return nil }
        return SVG.picture(
            width: Self.width,
            height: Self.height,
            title: title,
            description: description,
            axes(x, y) + referenceLines(x, y) + lines.flatMap { band($0, x, y) } + lines.flatMap { curve($0, x, y) }
                + labels(x, y)
        )
    }

    /// The names of the lines with their marks.
    var legend: Markup {
        .tag(
            "ul",
            ["class": "legend"],
            lines.map { line in
                .tag("li", [:], [swatch(line.style), .tag("span", [:], line.name)])
            }
        )
    }

    private func swatch(_ style: SeriesStyle) -> Markup {
        .tag(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 34 12", "width": "34", "height": "12",
                "aria-hidden": "true",
            ],
            [stroke(style, path: "M0 6L34 6"), style.markerMarkup(x: 17, y: 6)]
        )
    }

    // MARK: - Scales

    private func xScale(_ points: [Point]) -> AxisScale? {
        let kind = xKind ?? kind
        let zero: [Double] = kind == .linear && points.allSatisfy { $0.x >= 0 } ? [0] : []
        return AxisScale(kind, over: points.map(\.x) + zero, from: Self.plotLeft, to: Self.plotRight)
    }

    private func yScale(_ points: [Point]) -> AxisScale? {
        let spread = points.flatMap { point in point.spread.map { [point.y - $0, point.y + $0] } ?? [] }
        var values = points.map(\.y) + [reference?.value].compactMap(\.self)
        if kind == .linear { values += spread }
        if let yBounds { values = values.map { min(max($0, yBounds.lowerBound), yBounds.upperBound) } }
        if kind == .logarithmic { values += values.flatMap { [$0 / 1.3, $0 * 1.3] } }
        return AxisScale(kind, over: values, from: Self.plotBottom, to: Self.plotTop)?.extendedToTicks(6)
    }

    // MARK: - Axes

    private func axes(_ x: AxisScale, _ y: AxisScale) -> [Markup] {
        let horizontal = y.ticks(6).flatMap { tick -> [Markup] in
            let position = y.position(of: tick)
            return [
                SVG.line(Self.plotLeft, position, Self.plotRight, position, class: "grid"),
                SVG.text(tickText(tick), x: Self.plotLeft - 9, y: position + 4, anchor: .end, class: "tick"),
            ]
        }
        let vertical = (xTicks.isEmpty ? x.ticks(7) : xTicks).flatMap { tick -> [Markup] in
            let position = x.position(of: tick)
            return [
                SVG.line(position, Self.plotBottom, position, Self.plotBottom + 5, class: "axis"),
                SVG.text(NumberText.plain(tick), x: position, y: Self.plotBottom + 20, anchor: .middle, class: "tick"),
            ]
        }
        let middle = (Self.plotLeft + Self.plotRight) / 2
        return horizontal + vertical + [
            SVG.line(Self.plotLeft, Self.plotBottom, Self.plotRight, Self.plotBottom, class: "axis"),
            SVG.text(xLabel, x: middle, y: Self.height - 8, anchor: .middle, size: 13),
            SVG.text(yLabel, x: 15, y: (Self.plotTop + Self.plotBottom) / 2, anchor: .middle, size: 13, turned: true),
        ]
    }

    private func referenceLines(_ x: AxisScale, _ y: AxisScale) -> [Markup] {
        let level = reference.map { y.position(of: $0.value) }
        let mark = xMark.map { x.position(of: $0) }
        return [
            level.map { SVG.line(Self.plotLeft, $0, Self.plotRight, $0, class: "reference") },
            mark.map { SVG.line($0, Self.plotTop, $0, Self.plotBottom, class: "reference") },
        ].compactMap(\.self)
    }

    // MARK: - Lines

    private func band(_ line: Line, _ x: AxisScale, _ y: AxisScale) -> [Markup] {
        let points = line.points.filter { $0.isFinite && $0.spread?.isFinite == true }
        guard points.count > 1 else { return [] }
        let upper = points.map { (x.position(of: $0.x), y.position(of: $0.y + ($0.spread ?? 0))) }
        let lower = points.reversed().map { (x.position(of: $0.x), y.position(of: $0.y - ($0.spread ?? 0))) }
        let steps = (upper + lower).enumerated().map { index, point in
            index == 0 ? SVG.Step.move(point.0, point.1) : .line(point.0, point.1)
        }
        return [
            .tag(
                "path",
                [
                    "d": SVG.path(steps + [.close]), "class": "\(line.style.colorClass) band",
                    "fill": line.style.color, "fill-opacity": "0.16", "stroke": "none",
                ]
            )
        ]
    }

    private func curve(_ line: Line, _ x: AxisScale, _ y: AxisScale) -> [Markup] {
        let positions = line.points.filter(\.isFinite).map { (x: x.position(of: $0.x), y: y.position(of: $0.y)) }
        let steps = positions.enumerated().map { index, point in
            index == 0 ? SVG.Step.move(point.x, point.y) : .line(point.x, point.y)
        }
        let markers = positions.map { line.style.markerMarkup(x: $0.x, y: $0.y) }
        return [.tag("g", [:], [stroke(line.style, path: SVG.path(steps))] + markers)]
    }

    private func stroke(_ style: SeriesStyle, path: String) -> Markup {
        .tag(
            "path",
            [
                "d": path, "class": "\(style.colorClass) open", "fill": "none", "stroke": style.color,
                "stroke-width": "2", "stroke-linejoin": "round", "stroke-dasharray": style.dash,
            ]
        )
    }

    // MARK: - Labels

    /// The names of the lines after their last points, moved apart so that none covers another.
    private func labels(_ x: AxisScale, _ y: AxisScale) -> [Markup] {
        var wanted = lines.compactMap { line -> LabelPosition? in
            guard let last = line.points.filter(\.isFinite).max(by: { $0.x < $1.x }) else { return nil }
            let from = (x: x.position(of: last.x), y: y.position(of: last.y))
            return LabelPosition(text: line.label, style: line.style, x: from.x, y: from.y)
        }
        if let reference {
            let position = y.position(of: reference.value)
            wanted.append(LabelPosition(text: reference.label, style: nil, x: Self.plotRight, y: position))
        }
        wanted.sort { $0.y < $1.y }
        let placed = LabelPosition.spread(wanted.map(\.y), gap: 16, from: Self.plotTop, to: Self.plotBottom)
        return zip(wanted, placed).flatMap { label, position in
            [
                label.leader(to: Self.plotRight + Self.labelGap - 5, position),
                SVG.text(label.shortText, x: Self.plotRight + Self.labelGap, y: position + 4, class: "label"),
            ]
        }
    }
}
