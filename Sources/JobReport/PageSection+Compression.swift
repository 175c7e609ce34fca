import JSONText
import PageMarkup

extension PageSection {
    /// What compression lost of the matrices in factor and regularizer files.
    static func compression(_ report: JSONValue) -> PageSection? {
        guard let section = report["compression"] else { return nil }
        let matrices = ShownRows(
            (section["matrices"]?.elements ?? []).map(CompressedRow.init), noun: "matrix",
            order: "with the largest error"
        ) { $0.error ?? 0 > $1.error ?? 0 }
        guard !matrices.rows.isEmpty else { return nil }
        let rows = matrices.rows.map { row -> [ReportTable.Cell] in
            [
                .name(row.tensor.shownName), .name(row.file.shownName), .init(percent: row.error),
                .init(number: row.smallest), .init(number: row.mean), .init(number: row.shift),
            ]
        }
        let form = section["form"]?.stringValue ?? "–"
        let table = ReportTable(
            title: "Compressed matrices",
            columns: [
                .text("matrix"), .text("file"), .number("error"), .number("smallest"), .number("mean"),
                .number("shift"),
            ],
            rows: rows,
            caption:
                "The form is \(form.shownName). The error is that of the decoded matrix in the Frobenius norm, as a "
                + "share of the exact one’s. Smallest and mean are its eigenvalues, with the shift that readers add to "
                + "its diagonal." + matrices.remark
        ).withoutEmptyColumns
        return PageSection(
            anchor: "compression", title: "Compression of the factors", content: [HTMLTable(table).markup])
    }
}

/// One compressed matrix.
private struct CompressedRow {
    let tensor: String
    let file: String
    let error: Double?
    let smallest: Double?
    let mean: Double?
    let shift: Double?

    init(_ matrix: JSONValue) {
        tensor = matrix["tensor"]?.stringValue ?? "–"
        file = matrix["file"]?.stringValue ?? "–"
        error = matrix["relative_error"]?.number
        smallest = matrix["smallest_eigenvalue"]?.number
        mean = matrix["mean_eigenvalue"]?.number
        shift = matrix["shift"]?.number
    }
}
