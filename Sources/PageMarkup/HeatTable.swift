/// A matrix as a table with cells coloured by value.
package struct HeatTable {
    package let name: String
    package let caption: String
    package let rows: [String]
    package let columns: [String]
    /// `[rows, columns]`.
    package let values: [[Double]]
    /// The value of the last colour; `nil` for a table without colours.
    package let highest: Double?
    /// How a number is written; with equal decimals unless given.
    package var text: ((Double) -> String)?
    /// What the corner above the names of the rows says.
    package var corner = ""
    /// Whether the names of the columns stand upright, so that long ones do not widen the table.
    package var turnsColumns = false

    package init(
        name: String, caption: String, rows: [String], columns: [String], values: [[Double]], highest: Double?
    ) {
        (self.name, self.caption, self.rows, self.columns) = (name, caption, rows, columns)
        (self.values, self.highest) = (values, highest)
    }

    package var markup: Markup {
        let head = [Markup.tag("td", [:], corner.isEmpty ? [] : [.text(corner)])] + columns.map(heading)
        let decimals = Self.decimals(for: values.joined().filter(\.isFinite).map(abs).max() ?? 0)
        let text = text ?? { NumberText.fixed($0, decimals) }
        let body = zip(rows, values).map { name, row in
            Markup.tag(
                "tr",
                [:],
                [.tag("th", ["scope": "row"], [.tag("bdi", [:], name)])]
                    + row.prefix(columns.count).map { cell($0, text: text($0)) }
            )
        }
        return .scrolling(
            name,
            .tag(
                "table",
                ["class": "heat"],
                [
                    .tag("caption", [:], [.tag("strong", [:], name), .text(" " + caption)]),
                    .tag("thead", [:], [.tag("tr", [:], head)]), .tag("tbody", [:], body),
                ]
            )
        )
    }

    private func heading(_ name: String) -> Markup {
        .tag(
            "th", ["scope": "col", "class": turnsColumns ? "number turned" : "number"],
            [.tag("bdi", [:], name)])
    }

    private func cell(_ value: Double, text: String) -> Markup {
        let step = highest.flatMap { ColorScale.step(of: value / $0) }
        return .tag("td", ["class": step.map { "number \(ColorScale.className($0))" } ?? "number"], text)
    }

    /// The number of decimals with which the largest value has three digits.
    private static func decimals(for largest: Double) -> Int {
        guard largest > 0 else { return 2 }
        return (0..<6).first { decimals in
            largest * (0..<decimals).reduce(1.0) { product, _ in product * 10 } >= 100
        } ?? 6
    }
}
