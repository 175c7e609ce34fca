import Identifiers

/// A matrix as a picture of coloured cells with their numbers, in SVG that needs no other file.
struct HeatMapPicture {
    let title: String
    let rows: [String]
    let columns: [String]
    /// The values, `[rows][columns]`, at least 0; `nil` is drawn in grey.
    let values: [[Double?]]

    private static let (cell, gap, letter) = (56, 12, 7)
    /// The most letters of a name; the whole name is in the cell's title.
    private static let lettersMax = 24
    /// Colours from none to most, in one hue whose lightness falls evenly.
    private static let colors: [[Double]] = [
        [246, 248, 252], [201, 219, 239], [133, 176, 218], [66, 126, 186], [30, 82, 146], [13, 44, 92],
    ]
    private static let legendSteps = 20

    /// The value of the last colour.
    private var highest: Double {
        let most = values.joined().compactMap { $0 }.filter(\.isFinite).max() ?? 0
        return most > 0 ? most : 1
    }

    private var left: Int { Self.gap + 2 * Self.letter + (rows.map { Self.shown($0).count }.max() ?? 0) * Self.letter }
    // The columns' names are turned by 45 degrees.
    private var top: Int { 60 + (columns.map { Self.shown($0).count }.max() ?? 0) * Self.letter * 3 / 4 }
    private var width: Int { left + max(columns.count * Self.cell, 260) + top / 2 }
    private var height: Int { top + rows.count * Self.cell + 84 }

    /// The picture's text.
    var svg: String {
        let description =
            "Rows: task vectors. Columns: the tasks whose representations they move, relative to the task's own vector."
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" \
            height="\(height)" role="img" font-family="sans-serif" font-size="12" fill="#1c2330">
            <title>\(Self.escaped(title))</title>
            <desc>\(Self.escaped(description))</desc>
            <rect width="\(width)" height="\(height)" fill="#ffffff"/>
            <text x="\(Self.gap)" y="22" font-size="15">\(Self.escaped(title))</text>
            <text x="\(Self.gap)" y="40" fill="#5b6472">row: a task vector; column: the task that it moves</text>
            \((names + cells + legend).joined(separator: "\n"))
            </svg>

            """
    }

    private var names: [String] {
        let ofRows = rows.enumerated().map { row, name in
            let y = top + row * Self.cell + Self.cell / 2 + 4
            return "<text x=\"\(left - 8)\" y=\"\(y)\" text-anchor=\"end\">\(Self.escaped(Self.shown(name)))</text>"
        }
        let ofColumns = columns.enumerated().map { column, name in
            let (x, y) = (left + column * Self.cell + Self.cell / 2, top - 8)
            return "<text x=\"\(x)\" y=\"\(y)\" transform=\"rotate(-45 \(x) \(y))\">"
                + "\(Self.escaped(Self.shown(name)))</text>"
        }
        return ofRows + ofColumns
    }

    private var cells: [String] {
        rows.indices.flatMap { row in
            columns.indices.map { column in
                let (x, y) = (left + column * Self.cell, top + row * Self.cell)
                let value = values[row][column]
                let color = value.map { Self.color($0 / highest) } ?? "#c4c9d0"
                let text = value.map { Quantity.rounded($0, 2) } ?? "–"
                let ink = (value ?? 0) / highest > 0.5 ? "#ffffff" : "#1c2330"
                return """
                    <g><title>\(Self.escaped("\(rows[row]) moves \(columns[column]): \(text)"))</title>\
                    <rect x="\(x)" y="\(y)" width="\(Self.cell - 2)" height="\(Self.cell - 2)" fill="\(color)"/>\
                    <text x="\(x + Self.cell / 2 - 1)" y="\(y + Self.cell / 2 + 3)" text-anchor="middle" \
                    fill="\(ink)">\(text)</text></g>
                    """
            }
        }
    }

    private var legend: [String] {
        let (y, step) = (top + rows.count * Self.cell + 24, 12)
        let bar = (0..<Self.legendSteps).map { index in
            "<rect x=\"\(left + index * step)\" y=\"\(y)\" width=\"\(step)\" height=\"12\" "
                + "fill=\"\(Self.color(Double(index) / Double(Self.legendSteps - 1)))\"/>"
        }
        let ticks = [0, 0.5, 1].map { fraction in
            let x = left + Int(fraction * Double(Self.legendSteps * step))
            return "<text x=\"\(x)\" y=\"\(y + 28)\" text-anchor=\"middle\">"
                + "\(Quantity.rounded(fraction * highest, 2))</text>"
        }
        let words = "strength, relative to the task's own vector"
        return bar + ticks + ["<text x=\"\(left)\" y=\"\(y + 46)\" fill=\"#5b6472\">\(Self.escaped(words))</text>"]
    }

    private static func shown(_ name: String) -> String {
        name.count > lettersMax ? name.prefix(lettersMax - 1) + "…" : name
    }

    /// The colour of a fraction between none and most.
    private static func color(_ fraction: Double) -> String {
        let place = min(max(fraction, 0), 1) * Double(colors.count - 1)
        let index = min(Int(place), colors.count - 2)
        return zip(colors[index], colors[index + 1]).reduce("#") { text, ends in
            let component = Int((ends.0 + (ends.1 - ends.0) * (place - Double(index))).rounded())
            return text + (component < 16 ? "0" : "") + String(component, radix: 16)
        }
    }

    private static func escaped(_ text: String) -> String {
        text.printable.reduce(into: "") { escaped, character in
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
    }
}
