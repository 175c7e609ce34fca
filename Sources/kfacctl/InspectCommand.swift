import Admission
import ArgumentParser
import Console
import Foundation
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
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
            let compressions = description.compressions
            try JSONOutput.print(
                "groups",
                description.groups.map { group in
                    let tensors = group.tensors.map {
                        json($0, isDiagonal: diagonals.contains($0.name), compressions[$0.name])
                    }
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
        let compressions = description.compressions
        var table = TextTable(
            ["NAME", "TENSOR", "TYPE", "SHAPE"]
                + (compressions.isEmpty ? [] : ["FORM", "ERROR", "SMALLEST / MEAN EIGENVALUE"])
                + (diagonals.isEmpty ? [] : ["FACTOR"])
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
                    [group.name, tensor.name, tensor.dataType.rawValue, "\(tensor.shape)"]
                        + (compressions.isEmpty ? [] : loss(compressions[tensor.name])) + factor(word) + rest)
            }
            guard group.tensors.isEmpty else { continue }
            table.add([group.name, "", "", ""] + (compressions.isEmpty ? [] : loss(nil)) + factor("-") + rest)
        }
        return table
    }

    /// The form of a compressed matrix, its error, and its smallest eigenvalue as a share of the mean one.
    private func loss(_ compression: FactorCompression?) -> [String] {
        guard let compression else { return ["-", "-", "-"] }
        let form = compression.compression.form
        let number = form.parameter.map { " \($0)" } ?? ""
        let share = compression.smallestEigenvalue / compression.meanEigenvalue
        return [
            "\(form.word.rawValue)\(number)", String(format: "%.2g", compression.relativeError),
            String(format: "%.2g", share),
        ]
    }

    private func json(
        _ tensor: TensorDescription, isDiagonal: Bool, _ compression: FactorCompression?
    ) -> [String: Any] {
        var object: [String: Any] = [
            "name": tensor.name, "dtype": tensor.dataType.rawValue, "shape": tensor.shape,
        ]
        if isDiagonal { object["diagonal"] = true }
        if let compression { object["compression"] = json(compression) }
        return object
    }

    private func json(_ stated: FactorCompression) -> [String: Any] {
        let form = stated.compression.form
        var object: [String: Any] = [
            "form": form.word.rawValue, "dimension": stated.dimension, "relative_error": stated.relativeError,
            "smallest_eigenvalue": stated.smallestEigenvalue, "mean_eigenvalue": stated.meanEigenvalue,
            "shift": stated.compression.shift,
        ]
        if let key = form.word.parameter { object[key] = form.parameter }
        return object
    }
}
