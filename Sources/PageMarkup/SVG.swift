/// The few SVG shapes of the figures.
package enum SVG {
    /// A step of a path, in absolute coordinates.
    package enum Step {
        case move(Double, Double)
        case line(Double, Double)
        /// Half a circle of a radius to a point.
        case arc(Double, Double, Double)
        case close
    }

    /// The position of a text relative to its point.
    package enum Anchor: String {
        case start, middle, end
    }

    /// A picture with a title and a description for screen readers.
    package static func picture(
        width: Double,
        height: Double,
        title: String,
        description: String,
        _ children: [Markup]
    ) -> Markup {
        .tag(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 \(coordinate(width)) \(coordinate(height))",
                "width": coordinate(width), "height": coordinate(height), "role": "img",
                "aria-label": "\(title). \(description)",
            ],
            [.tag("title", [:], title), .tag("desc", [:], description)] + children
        )
    }

    package static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, class name: String) -> Markup {
        .tag(
            "line",
            [
                "x1": coordinate(x1), "y1": coordinate(y1), "x2": coordinate(x2), "y2": coordinate(y2),
                "class": name, "stroke": "#8a919c", "stroke-opacity": name == "grid" ? "0.25" : nil,
                "stroke-dasharray": name == "reference" ? "5 4" : nil,
            ]
        )
    }

    package static func text(
        _ text: String,
        x: Double,
        y: Double,
        anchor: Anchor = .start,
        size: Double = 12,
        class name: String? = nil,
        turned: Bool = false
    ) -> Markup {
        .tag(
            "text",
            [
                "x": coordinate(x), "y": coordinate(y), "text-anchor": anchor.rawValue,
                "font-size": coordinate(size), "fill": "currentColor", "class": name,
                "transform": turned ? "rotate(-90 \(coordinate(x)) \(coordinate(y)))" : nil,
            ],
            text
        )
    }

    package static func path(_ steps: [Step]) -> String {
        steps.map { step in
            switch step {
            case .move(let x, let y): "M\(coordinate(x)) \(coordinate(y))"
            case .line(let x, let y): "L\(coordinate(x)) \(coordinate(y))"
            case .arc(let r, let x, let y): "A\(coordinate(r)) \(coordinate(r)) 0 0 1 \(coordinate(x)) \(coordinate(y))"
            case .close: "Z"
            }
        }.joined()
    }

    /// Rounds to a tenth of a pixel; a value that is not finite or too large becomes zero, and the picture stays valid.
    package static func coordinate(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e6 else { return "0" }
        let tenths = Int((value * 10).rounded())
        let sign = tenths < 0 ? "-" : ""
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(sign)\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }
}
