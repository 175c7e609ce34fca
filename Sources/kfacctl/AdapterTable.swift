import Admission
import Console
import Identifiers
import JobPlan
import SystemPackage

/// The changes that an adapter makes, one row for each tensor.
struct AdapterTable {
    private let adapter: AdapterDescription

    init(_ adapter: AdapterDescription) {
        self.adapter = adapter
    }

    private struct Row {
        let tensor: String
        let change: String
        var rank: Int?
        var scale: Double?
        /// LoRA's A, then its B; or the tensor itself.
        let own: [TensorInventory]
    }

    private var rows: [Row] {
        let updates = adapter.changes.updates.map { name, update in
            Row(
                tensor: name, change: update.form == .bias ? "sum" : "product", rank: update.rank, scale: update.scale,
                own: update.tensors.reversed())
        }
        let replacements = adapter.changes.replacements.map { Row(tensor: $0, change: "replaced", own: [$1]) }
        return (updates + replacements).sorted { $0.tensor < $1.tensor }
    }

    /// Prints the changes.
    func show(as output: OutputFormat) throws {
        guard output == .table else { return try JSONOutput.print("changes", rows.map(json)) }
        Terminal.print("kind: adapter")
        Terminal.print("directory: \(adapter.directory.string.printable)")
        var table = TextTable(["CHANGES", "BY", "RANK", "SCALE", "SHAPES"])
        for row in rows {
            table.add([
                row.tensor, row.change, row.rank.map(String.init) ?? "-", row.scale.map { "\($0)" } ?? "-",
                row.own.map { "\($0.shape)" }.joined(separator: " "),
            ])
        }
        Terminal.print(table.text)
        let replaced = adapter.changes.replacements.count
        Terminal.print("\(rows.count - replaced) tensors changed, \(replaced) replaced")
    }

    private func json(_ row: Row) -> [String: Any] {
        var object: [String: Any] = [
            "tensor": row.tensor, "change": row.change,
            "stored": row.own.map { ["name": $0.name, "dtype": $0.elementType, "shape": $0.shape] as [String: Any] },
        ]
        object["rank"] = row.rank
        object["scale"] = row.scale
        return object
    }
}
