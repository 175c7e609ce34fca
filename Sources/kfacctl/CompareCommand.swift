import ArgumentParser
import Console
import Identifiers
import Safetensors
import SystemPackage

/// `kfacctl compare`.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Shows how far the tensors of a file lie from those of a reference: ‖x − y‖ / ‖y‖.")

    @Argument(help: "A safetensors file or directory.")
    var file: String

    @Argument(help: "The reference, with the same tensors.")
    var reference: String

    @Option(help: "Subtract this checkpoint from FILE first: for references that hold task vectors.")
    var base: String?

    @Option(help: "Exit with 1 when any tensor differs by more.")
    var tolerance: Double?

    @Flag(help: "REFERENCE holds only some of FILE's tensors: the others are no difference.")
    var subset = false

    @Flag(name: .shortAndLong, help: "Print only the largest difference.")
    var summary = false

    func validate() throws {
        // Every comparison with NaN is false, so a NaN tolerance would let everything pass.
        if let tolerance, !(tolerance >= 0 && tolerance.isFinite) {
            throw ValidationError("--tolerance must be a number of at least 0.")
        }
    }

    func run() throws {
        let file = try open(file)
        let reference = try open(reference)
        let measure = TensorMeasure(file: file, reference: reference, base: try base.map(open))
        var table = TextTable(["TENSOR", "SHAPE", "DIFFERENCE"])
        var differences: [(name: String, difference: TensorDifference)] = []
        for tensor in reference.tensors {
            guard let found = file[tensor.name] else {
                throw CommandFailure(.badInput, "\(self.file): tensor \"\(tensor.name)\" of the reference is missing.")
            }
            guard found.tensor.shape == tensor.shape else {
                throw CommandFailure(
                    .badInput,
                    "\(self.file): tensor \"\(tensor.name)\" is \(found.tensor.shape), the reference \(tensor.shape).")
            }
            let difference = try measure.difference(tensor.name)
            differences.append((tensor.name, difference))
            table.add([tensor.name, "\(tensor.shape)", difference.text])
        }
        let extra = file.tensors.filter { reference[$0.name] == nil }
        for tensor in extra { table.add([tensor.name, "\(tensor.shape)", "not in REFERENCE"]) }
        if !summary { Terminal.print(table.text) }
        try conclude(differences, extra: extra.map(\.name))
    }

    /// Prints the result, and fails when a difference exceeds the tolerance.
    private func conclude(_ differences: [(name: String, difference: TensorDifference)], extra: [String]) throws {
        let worst = differences.max { $0.difference.magnitude < $1.difference.magnitude }
        let largest = worst.map { $0.difference.magnitude == 0 ? "0" : $0.difference.text } ?? "0"
        Terminal.print("\(differences.count) tensors, largest difference \(largest) (\(worst?.name ?? ""))")
        if !extra.isEmpty { Terminal.print("\(extra.count) more tensors are not in REFERENCE: \(list(extra))") }
        let notFinite = differences.filter { if case .notFinite = $0.difference { true } else { false } }
        if let first = notFinite.first {
            throw CommandFailure(
                .failed,
                "\(notFinite.count) tensors hold NaN or infinity, which differ from everything: "
                    + "\(list(notFinite.map(\.name))) (\(first.difference.text)).")
        }
        guard let tolerance else { return }
        let beyond = differences.filter { !($0.difference.magnitude <= tolerance) }.map(\.name)
        guard beyond.isEmpty else {
            throw CommandFailure(.failed, "\(list(beyond)): \(beyond.count) tensors differ by more than \(tolerance).")
        }
        guard extra.isEmpty || subset else {
            throw CommandFailure(
                .failed,
                "\(self.file) holds tensors that REFERENCE does not: \(list(extra)). Add --subset if that is meant.")
        }
    }

    /// The first names and the number of the others.
    private func list(_ names: [String]) -> String {
        let shown = names.prefix(3).map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
        return names.count > 3 ? "\(shown) and \(names.count - 3) more" : shown
    }

    private func open(_ path: String) throws -> SafetensorsSet {
        do {
            return try SafetensorsSet(opening: FilePath(path))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }
}
