/// Writes a table as HTML: the caption above, aligned decimals, and the first column as headings of the rows.
package struct HTMLTable {
    private let table: ReportTable
    private let showsTitle: Bool

    /// - Parameters:
    ///   - table: The table.
    ///   - showsTitle: Whether the caption begins with the title, where several tables follow one heading.
    package init(_ table: ReportTable, showsTitle: Bool = false) {
        (self.table, self.showsTitle) = (table, showsTitle)
    }

    package var markup: Markup {
        let head = table.columns.map { column in
            Markup.tag("th", ["scope": "col", "class": column.isNumeric ? "number" : nil], column.heading)
        }
        let spreads = table.columns.indices.map { column in
            table.rows.compactMap { $0[column].spread?.count }.max()
        }
        let body = table.rows.map { row in
            Markup.tag("tr", [:], row.indices.map { cell(row[$0], column: $0, spreadWidth: spreads[$0]) })
        }
        return .scrolling(
            table.title,
            .tag(
                "table",
                ["class": table.columns.count > 8 ? "dense" : nil],
                [
                    .tag("caption", [:], caption),
                    .tag("thead", [:], [.tag("tr", [:], head)]),
                    .tag("tbody", [:], body),
                ]
            )
        )
    }

    private var caption: [Markup] {
        let words = Markup.text(table.fullCaption.replacing(" %", with: "\u{A0}%"))
        return showsTitle ? [.tag("strong", [:], table.title), .text(" "), words] : [words]
    }

    private func cell(_ cell: ReportTable.Cell, column: Int, spreadWidth: Int?) -> Markup {
        let text: Markup = cell.isName ? .tag("bdi", [:], cell.text) : .text(cell.text)
        var children: [Markup] = [cell.isEmphasised ? .tag("strong", [:], [text]) : text]
        if let detail = cell.detail { children += [.text(" "), .tag("small", [:], detail)] }
        if let spreadWidth {
            // Every cell of the column reserves the place of a spread, so that the decimals of the means are aligned.
            let spread = cell.spread.map { " ± \($0)" } ?? ""
            children.append(.tag("span", ["class": "spread", "style": "width:\(spreadWidth + 2)ch"], spread))
        }
        guard column > 0 else { return .tag("th", ["scope": "row"], children) }
        return .tag("td", ["class": table.columns[column].isNumeric ? "number" : nil], children)
    }
}
