import JSONText
import PageMarkup

extension PageSection {
    /// What the pseudo-rows of targets and tasks keep of their rows.
    static func pseudoRows(_ report: JSONValue) -> PageSection? {
        guard let section = report["pseudo_rows"] else { return nil }
        let all = [("targets", "target"), ("tasks", "task")].flatMap { key, word in
            (section[key]?.elements ?? []).map { PseudoRow($0, word) }
        }
        let shown = ShownRows(all, noun: "row", order: "that keep least") { $0.least < $1.least }
        guard !shown.rows.isEmpty else { return nil }
        let rows = shown.rows.map { row -> [ReportTable.Cell] in
            [.init(text: row.word), .name(row.name.shownName)]
                + row.sides.flatMap { side -> [ReportTable.Cell] in
                    [.init(text: side.ranks), .init(percent: side.kept), .init(percent: side.error)]
                }
        }
        let table = ReportTable(
            title: "Pseudo-rows",
            columns: [
                .text("of"), .text("name"), .number("rows of inputs"), .number("kept"), .number("error"),
                .number("rows of gradients"), .number("kept"), .number("error"),
            ],
            rows: rows,
            caption: "Pseudo-rows are the leading combinations of joint rows over all layers. Kept is their share of "
                + "the trace of the weighted Gram matrix, and error the share that they miss in the Frobenius norm. "
                + "A target’s rows are combined from those of its tasks. Of finished factors only what they state is "
                + "known." + storage(section) + pooling(section) + shown.remark
        ).withoutEmptyColumns
        return PageSection(anchor: "pseudo-rows", title: "Pseudo-rows", content: [HTMLTable(table).markup])
    }

    private static func pooling(_ section: JSONValue) -> String {
        guard let codebook = section["codebook"]?.stringValue else { return "" }
        return " Positions are pooled by the codebook \(String(codebook.prefix(12)).shownName)."
    }

    private static func storage(_ section: JSONValue) -> String {
        guard let rows = section["storage"]?["rows"]?.number, let factors = section["storage"]?["factors"]?.number,
            rows > 0
        else { return "" }
        let floor = section["floor"]?.stringValue ?? "–"
        let others = factors > 0 ? ", its factors \(NumberWords.short(factors))" : ", and no factors are stored"
        return " A target’s rows have \(NumberWords.short(rows)) numbers\(others). The floor is \(floor.shownName)."
    }
}

/// The pseudo-rows of a task or a target.
private struct PseudoRow {
    struct Side {
        /// Rows that stand for others: `32 of 256`, or `32` where the others are not known.
        let ranks: String
        let kept: Double?
        let error: Double?
    }

    let word: String
    let name: String
    let sides: [Side]

    init(_ row: JSONValue, _ word: String) {
        self.word = word
        name = row["name"]?.stringValue ?? "–"
        sides = ["inputs", "gradients"].map { key in
            let side = row[key]
            let rank = side?["rank"]?.wholeNumber.map { "\($0)" } ?? "–"
            let whole = side?["rows"]?.wholeNumber.map { " of \($0)" } ?? ""
            return Side(
                ranks: rank + whole, kept: side?["kept"]?.number, error: side?["relative_error"]?.number)
        }
    }

    /// What the worse side keeps.
    var least: Double { sides.compactMap(\.kept).min() ?? 0 }
}
