/// A matrix over tasks, as a table with cells coloured by value.
struct HeatTable {
    let name: String
    let caption: String
    let tasks: [String]
    /// `[tasks, tasks]`.
    let values: [[Double]]
    /// The value of the last colour.
    let highest: Double

    var markup: Markup {
        let head = [Markup.tag("td", [:], [])] + tasks.map { .tag("th", ["scope": "col", "class": "number"], $0) }
        let decimals = Self.decimals(for: values.joined().filter(\.isFinite).map(abs).max() ?? 0)
        let body = zip(tasks, values).map { task, row in
            Markup.tag(
                "tr",
                [:],
                [.tag("th", ["scope": "row"], task)] + row.prefix(tasks.count).map { cell($0, decimals: decimals) }
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

    private func cell(_ value: Double, decimals: Int) -> Markup {
        let step = ColorScale.step(of: value / highest)
        return .tag(
            "td", ["class": step.map { "number \(ColorScale.className($0))" } ?? "number"],
            NumberText.fixed(value, decimals))
    }

    /// The number of decimals with which the largest value has three digits.
    private static func decimals(for largest: Double) -> Int {
        guard largest > 0 else { return 2 }
        return (0..<6).first { decimals in
            largest * (0..<decimals).reduce(1.0) { product, _ in product * 10 } >= 100
        } ?? 6
    }
}
