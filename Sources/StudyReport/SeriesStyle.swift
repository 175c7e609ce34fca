import PageMarkup

/// The style of a plot's line: colour, dash and marker, so that lines differ even without colour.
struct SeriesStyle: Equatable {
    /// The class by which the style sheet replaces the colour in dark mode.
    let colorClass: String
    /// The colour on a light background.
    let color: String
    let dash: String?
    let marker: Marker

    enum Marker: CaseIterable {
        case circle, square, triangle, diamond, ring, cross, invertedTriangle, frame
    }

    /// The style of the line at an index; after eight lines the colours repeat with another dash.
    static func at(_ index: Int) -> SeriesStyle {
        let color = index % colors.count
        return SeriesStyle(
            colorClass: "series-\(color)",
            color: colors[color].light,
            dash: dashes[(index + index / colors.count) % dashes.count],
            marker: Marker.allCases[color]
        )
    }

    /// Colours for light and dark backgrounds; they are ordered so that neighbours also differ in lightness.
    ///
    /// Source: Okabe & Ito 2008, Color Universal Design. Brown replaces the yellow, which is too pale for lines.
    static let colors: [(light: String, dark: String)] = [
        ("#0072b2", "#5ab4ea"), ("#d55e00", "#ff9350"), ("#009e73", "#3ccfa4"), ("#7a3e9d", "#c99be6"),
        ("#b8860b", "#ecc35a"), ("#cc5a93", "#f29cc5"), ("#4d4d4d", "#c8c8c8"), ("#7b4a2d", "#d0a184"),
    ]

    private static let dashes: [String?] = [nil, "7 4", "2 3", "9 3 2 3"]

    /// The marker around a point.
    func markerMarkup(x: Double, y: Double) -> Markup {
        let isOpen = marker == .ring || marker == .frame || marker == .cross
        return .tag(
            "path",
            [
                "d": markerPath(x: x, y: y), "class": "\(colorClass) \(isOpen ? "open" : "solid")",
                "stroke": color, "stroke-width": "1.5", "fill": isOpen ? "none" : color,
            ]
        )
    }

    private func markerPath(x: Double, y: Double) -> String {
        let (r, d) = (3.6, 4.6)
        switch marker {
        case .circle, .ring:
            return SVG.path([.move(x - r, y), .arc(r, x + r, y), .arc(r, x - r, y), .close])
        case .square, .frame:
            return SVG.path([
                .move(x - r, y - r), .line(x + r, y - r), .line(x + r, y + r), .line(x - r, y + r), .close,
            ])
        case .triangle: return SVG.path([.move(x, y - d), .line(x + d, y + r), .line(x - d, y + r), .close])
        case .invertedTriangle: return SVG.path([.move(x, y + d), .line(x + d, y - r), .line(x - d, y - r), .close])
        case .diamond: return SVG.path([.move(x, y - d), .line(x + d, y), .line(x, y + d), .line(x - d, y), .close])
        case .cross:
            return SVG.path([.move(x - r, y - r), .line(x + r, y + r), .move(x + r, y - r), .line(x - r, y + r)])
        }
    }
}
