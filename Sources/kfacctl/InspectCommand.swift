import ArgumentParser
import Console
import Identifiers
import JobFiles
import Safetensors
import SystemPackage

/// `kfacctl inspect`.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what a capture, factor set, regularizer, inverse set or checkpoint holds.")

    @Argument(help: "A safetensors file, or a directory in Hugging Face layout.")
    var file: String

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    func run() throws {
        let description: JobFileDescription
        do {
            description = try JobFileDescription(of: FilePath(file))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
        guard output == .table else {
            try JSONOutput.print(
                "groups",
                description.groups.map { group in
                    var object: [String: Any] = ["name": group.name, "tensors": group.tensors.map(json)]
                    object["samples"] = group.sampleCount
                    object["rows"] = group.rowCount
                    object["layout"] = description.layouts[group.name]?.rawValue
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

    /// One row for each tensor; the counts of its layer stand where the kind of file has them.
    private func table(_ description: JobFileDescription) -> TextTable {
        let hasCounts = description.groups.contains { $0.sampleCount != nil || $0.rowCount != nil }
        let layouts = description.layouts
        var table = TextTable(
            ["NAME", "TENSOR", "TYPE", "SHAPE"] + (layouts.isEmpty ? [] : ["LAYOUT"])
                + (hasCounts ? ["SAMPLES", "ROWS"] : []))
        for group in description.groups {
            let counts = hasCounts ? [group.sampleCount, group.rowCount].map { $0.map(String.init) ?? "" } : []
            let rest = (layouts.isEmpty ? [] : [layouts[group.name]?.rawValue ?? "-"]) + counts
            for tensor in group.tensors {
                table.add([group.name, tensor.name, tensor.dataType.rawValue, "\(tensor.shape)"] + rest)
            }
            if group.tensors.isEmpty { table.add([group.name, "", "", ""] + rest) }
        }
        return table
    }

    private func json(_ tensor: TensorDescription) -> [String: Any] {
        ["name": tensor.name, "dtype": tensor.dataType.rawValue, "shape": tensor.shape]
    }
}
