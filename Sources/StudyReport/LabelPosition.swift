import PageMarkup

/// A label to the right of a plot, and the point that it names.
struct LabelPosition {
    let text: String
    /// The style of the line; `nil` for a reference.
    let style: SeriesStyle?
    let x: Double
    let y: Double

    /// The text, cut to fit beside a plot.
    var shortText: String { text.count > 19 ? text.prefix(18) + "…" : text }

    /// A thin line from the named point to its label.
    func leader(to labelX: Double, _ labelY: Double) -> Markup {
        .tag(
            "path",
            [
                "d": SVG.path([.move(x + (style == nil ? 0 : 7), y), .line(labelX - 8, labelY), .line(labelX, labelY)]),
                "class": style.map { "\($0.colorClass) open" } ?? "reference", "fill": "none",
                "stroke": style?.color ?? "#8a919c", "stroke-width": "1", "stroke-opacity": "0.7",
            ]
        )
    }

    /// Moves ascending positions apart by a greedy pass, as little as possible, so that neighbours keep their distance.
    ///
    /// - Parameters:
    ///   - positions: the desired positions, ascending.
    ///   - gap: the distance to keep; smaller when the interval is too short for all.
    ///   - start: the first allowed position.
    ///   - end: the last allowed position.
    /// - Returns: one position for each, ascending, from `start` to `end`.
    static func spread(_ positions: [Double], gap: Double, from start: Double, to end: Double) -> [Double] {
        guard positions.count > 1 else { return positions.map { min(max($0, start), end) } }
        let gap = min(gap, (end - start) / Double(positions.count - 1))
        var placed: [Double] = []
        for position in positions {
            placed.append(max(position, placed.last.map { $0 + gap } ?? start))
        }
        var limit = end
        for index in placed.indices.reversed() {
            placed[index] = min(placed[index], limit)
            limit = placed[index] - gap
        }
        return placed
    }
}
