import Admission
import ArgumentParser
import Console
import Identifiers
import JobFiles
import JobPlan
import Safetensors
import SystemPackage

/// `kfacctl inspect`.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what a capture, factor set, regularizer, inverse set, checkpoint or adapter holds.")

    @Argument(help: "A safetensors file, or a directory in Hugging Face layout or of an adapter.")
    var file: String

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    func run() throws {
        let adapter: AdapterDescription?
        do throws(JobRefusal) {
            adapter = try AdapterDescription(at: FilePath(file))
        } catch {
            throw CommandFailure(.badInput, error.problems.map(\.description).joined(separator: "\n"))
        }
        if let adapter { return try AdapterTable(adapter).show(as: output) }
        let description: JobFileDescription
        do {
            description = try JobFileDescription(of: FilePath(file))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
        guard output == .table else {
            let (layouts, diagonals, uses) = (description.layouts, description.diagonals, description.uses)
            try JSONOutput.print(
                "groups",
                description.groups.map { group in
                    let tensors = group.tensors.map { json($0, isDiagonal: diagonals.contains($0.name)) }
                    var object: [String: Any] = ["name": group.name, "tensors": tensors]
                    object["samples"] = group.sampleCount
                    object["rows"] = group.rowCount
                    object["layout"] = layouts[group.name]?.rawValue
                    object["uses"] = uses[group.name]
                    return object
                })
            return
        }
        Terminal.print("kind: \(description.kind.rawValue)")
        for (path, byteCount) in description.files {
            Terminal.print("file: \(path.string.printable)  \(Quantity.bytes(UInt64(byteCount)))")
        }
        for (key, value) in description.metadata.sorted(by: { $0.key < $1.key }) {
            Terminal.print("\(key.excerpt): \(value.excerpt)")
        }
        Terminal.print(table(description).text)
        Terminal.print("\(description.elementCount) elements in \(description.groups.count) groups")
    }

    /// One row for each tensor; what only some kinds of file have stands where the file has it.
    private func table(_ description: JobFileDescription) -> TextTable {
        let hasCounts = description.groups.contains { $0.sampleCount != nil || $0.rowCount != nil }
        let (layouts, diagonals, uses) = (description.layouts, description.diagonals, description.uses)
        var table = TextTable(
            ["NAME", "TENSOR", "TYPE", "SHAPE"] + (diagonals.isEmpty ? [] : ["FACTOR"])
                + (layouts.isEmpty ? [] : ["LAYOUT"]) + (uses.isEmpty ? [] : ["SUM OVER USES"])
                + (hasCounts ? ["SAMPLES", "ROWS"] : []))
        for group in description.groups {
            let counts = hasCounts ? [group.sampleCount, group.rowCount].map { $0.map(String.init) ?? "" } : []
            let rest =
                (layouts.isEmpty ? [] : [layouts[group.name]?.rawValue ?? "-"])
                + (uses.isEmpty ? [] : [uses[group.name].map { $0.listed(limit: 4) } ?? "-"]) + counts
            func factor(_ word: String) -> [String] { diagonals.isEmpty ? [] : [word] }
            for tensor in group.tensors {
                let word = diagonals.contains(tensor.name) ? "diagonal" : "-"
                table.add(
                    [group.name, tensor.name, tensor.dataType.rawValue, "\(tensor.shape)"] + factor(word) + rest)
            }
            if group.tensors.isEmpty { table.add([group.name, "", "", ""] + factor("-") + rest) }
        }
        return table
    }

    private func json(_ tensor: TensorDescription, isDiagonal: Bool) -> [String: Any] {
        var object: [String: Any] = [
            "name": tensor.name, "dtype": tensor.dataType.rawValue, "shape": tensor.shape,
        ]
        if isDiagonal { object["diagonal"] = true }
        return object
    }
}
