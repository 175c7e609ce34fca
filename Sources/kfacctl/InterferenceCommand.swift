import ArgumentParser
import Console
import FileAccess
import SystemPackage

/// `kfacctl interference`.
struct InterferenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "interference",
        abstract: "Shows how strongly each task vector of a job moves the other tasks. Merges nothing.",
        discussion: """
            Rows are task vectors, columns are tasks. A value is relative to the task's own vector: 0 leaves the task \
            alone, 1 moves its representations as far as its own vector does.
            """)

    @OptionGroup var options: MeasurementOptions

    @Flag(help: "Show the layers too, those with the strongest interference first.")
    var layers = false

    @Option(help: ArgumentHelp("Write the matrix as a picture to this SVG file.", valueName: "file"))
    var picture: String?

    /// The most layers that a table shows.
    private static let rowsMax = 20

    func validate() throws {
        guard let picture, FilePath(picture).extension?.lowercased() != "svg" else { return }
        throw ValidationError("--picture writes SVG, and \"\(picture)\" does not end in .svg.")
    }

    func run() async throws {
        let measured = try await InterferenceReader(options: options).read()
        if let picture {
            let map = HeatMapPicture(
                title: "Interference of task vectors", rows: measured.vectors, columns: measured.tasks,
                values: measured.normalized)
            do {
                try WholeFile.write(Array(map.svg.utf8), to: FilePath(picture))
            } catch {
                throw CommandFailure(.failed, error.description)
            }
        }
        let rows = layers ? LayerInterference.all(of: measured) : []
        guard options.output == .table else { return try print(json: measured, rows) }
        Terminal.print(([Self.matrix(measured)] + (layers ? [Self.table(rows)] : [])).joined(separator: "\n\n"))
    }

    // MARK: - Tables

    private static func matrix(_ measured: MeasuredInterference) -> String {
        var table = TextTable([""] + measured.tasks)
        for (vector, row) in zip(measured.vectors, measured.normalized) {
            table.add([vector] + row.map { $0.map { Quantity.rounded($0, 3) } ?? "–" })
        }
        return ReportTables.interferenceHeading + table.text
    }

    private static func table(_ rows: [LayerInterference]) -> String {
        var table = TextTable(["LAYER", "SHARE", "STRONGEST PAIR", "STRENGTH THERE"])
        for row in rows.prefix(rowsMax) {
            table.add([
                row.name, "\(Quantity.rounded(100 * row.share, 1)) %", "\(row.vector) moves \(row.task)",
                row.strength.map { Quantity.rounded($0, 3) } ?? "–",
            ])
        }
        let more = rows.count > rowsMax ? "\nand \(rows.count - rowsMax) more layers; report.json has every layer" : ""
        return "layers by their share of the interference between tasks\n\(table.text)\(more)"
    }

    // MARK: - JSON

    private func print(json measured: MeasuredInterference, _ rows: [LayerInterference]) throws {
        var others: [String: Any] = [:]
        if layers {
            others["layers"] = rows.map { row in
                var item: [String: Any] = [
                    "name": row.name, "share": row.share, "task_vector": row.vector, "task": row.task,
                ]
                item["strength"] = row.strength
                return item
            }
        }
        let values = measured.vectors.indices.flatMap { vector in
            measured.tasks.indices.map { task in
                var item: [String: Any] = ["task_vector": measured.vectors[vector], "task": measured.tasks[task]]
                item["value"] = measured.matrix[vector][task]
                item["normalized"] = measured.normalized[vector][task]
                return item
            }
        }
        try JSONOutput.print("interference", values, beside: others)
    }
}
