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
                    var members: [String: Any] = ["name": group.name, "tensors": group.tensors.map(json)]
                    if let layout = description.layouts[group.name] { members["layout"] = layout.rawValue }
                    return members
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
        let layouts = description.layouts
        var table = TextTable(["NAME", "TENSOR", "TYPE", "SHAPE"] + (layouts.isEmpty ? [] : ["LAYOUT"]))
        for group in description.groups {
            for tensor in group.tensors {
                let layout = layouts.isEmpty ? [] : [layouts[group.name]?.rawValue ?? "-"]
                table.add([group.name, tensor.name, tensor.dataType.rawValue, "\(tensor.shape)"] + layout)
            }
        }
        Terminal.print(table.text)
        Terminal.print("\(description.elementCount) elements in \(description.groups.count) groups")
    }

    private func json(_ tensor: TensorDescription) -> [String: Any] {
        ["name": tensor.name, "dtype": tensor.dataType.rawValue, "shape": tensor.shape]
    }
}
