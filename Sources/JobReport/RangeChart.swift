import PageMarkup

/// A picture of one interval or one point for each row, over a common axis.
///
/// The numbers also stand in a table beside it.
struct RangeChart {
    struct Row {
        /// The name at the left.
        let label: String
        let from: Double
        let to: Double
    }

    let title: String
    let axis: String
    let kind: AxisScale.Kind
    /// Values that the axis reaches, besides those of the rows.
    var including: [Double] = []
    let rows: [Row]
    let text: (Double) -> String

    private static let width = 840.0
    private static let left = 262.0
    private static let right = 806.0
    private static let top = 8.0
    private static let rowHeight = 19.0
    private static let labelCharacters = 36

    /// The picture in a part of the page that scrolls; `nil` when no row can be drawn.
    var figure: Markup? {
        picture.map { .tag("figure", [:], [.scrolling(title, kind: "picture", $0)]) }
    }

    /// The rows that the axis can show, at most ``ReportBounds/pictureRows``.
    private var drawn: [Row] {
        Array(
            rows.filter { row in
                let isShown = { (value: Double) in value.isFinite && (kind == .linear || value > 0) }
                return isShown(row.from) && isShown(row.to)
            }.prefix(ReportBounds.pictureRows))
    }

    private var picture: Markup? {
        let drawn = drawn
        let values = drawn.flatMap { [$0.from, $0.to] } + including
        let spread = kind == .logarithmic ? values.flatMap { [$0 / 1.3, $0 * 1.3] } : values
        guard !drawn.isEmpty,
            let scale = AxisScale(kind, over: spread, from: Self.left, to: Self.right)?.extendedToTicks(6)
        else { return nil }
        let bottom = Self.top + Double(drawn.count) * Self.rowHeight + 4
        let more = drawn.count < rows.count ? " The table has more." : ""
        let description =
            "\(NumberWords.count(drawn.count, "row")), from \(text(values.min() ?? 0)) to "
            + "\(text(values.max() ?? 0)).\(more)"
        return SVG.picture(
            width: Self.width, height: bottom + 44, title: title, description: description,
            grid(scale, bottom) + drawn.enumerated().flatMap { mark($1, scale, at: $0) } + [
                SVG.text(
                    axis, x: (Self.left + Self.right) / 2, y: bottom + 38, anchor: .middle, size: 12, class: "tick")
            ])
    }

    private func grid(_ scale: AxisScale, _ bottom: Double) -> [Markup] {
        let ticks = scale.ticks(6)
        // Of many decades every second or third has its number.
        let every = max(1, (ticks.count + 7) / 8)
        return ticks.enumerated().flatMap { index, tick -> [Markup] in
            let position = scale.position(of: tick)
            let line = SVG.line(position, Self.top, position, bottom, class: "grid")
            guard index % every == 0 else { return [line] }
            return [line, SVG.text(text(tick), x: position, y: bottom + 17, anchor: .middle, size: 11, class: "tick")]
        } + [SVG.line(Self.left, bottom, Self.right, bottom, class: "axis")]
    }

    private func mark(_ row: Row, _ scale: AxisScale, at index: Int) -> [Markup] {
        let middle = Self.top + (Double(index) + 0.5) * Self.rowHeight
        let (from, to) = (scale.position(of: row.from), scale.position(of: row.to))
        let label = SVG.text(
            row.label.cutInTheMiddle(Self.labelCharacters), x: Self.left - 12, y: middle + 4, anchor: .end, size: 11.5)
        let bar = Markup.tag(
            "path",
            [
                "d": SVG.path([.move(from, middle), .line(max(to, from + 0.1), middle)]), "class": "bar",
                "stroke": "#0072b2", "stroke-width": "3", "stroke-linecap": "round",
            ])
        return [label, bar] + [from, to].map { point(x: $0, y: middle) }
    }

    private func point(x: Double, y: Double) -> Markup {
        let radius = 3.6
        return .tag(
            "path",
            [
                "d": SVG.path([.move(x - radius, y), .arc(radius, x + radius, y), .arc(radius, x - radius, y), .close]),
                "class": "point", "fill": "#0072b2",
            ])
    }
}
