import ArgumentParser
import Console
import LinearAlgebra
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

    @Flag(name: .shortAndLong, help: "Print only the largest difference.")
    var summary = false

    func run() throws {
        let file = try open(file)
        let reference = try open(reference)
        let base = try base.map(open)
        var table = TextTable(["TENSOR", "SHAPE", "DIFFERENCE"])
        var worst: (name: String, difference: Double) = ("", 0)
        for tensor in reference.tensors {
            guard let found = file[tensor.name] else {
                throw CommandFailure(.badInput, "\(self.file): tensor \"\(tensor.name)\" of the reference is missing.")
            }
            guard found.tensor.shape == tensor.shape else {
                throw CommandFailure(
                    .badInput,
                    "\(self.file): tensor \"\(tensor.name)\" is \(found.tensor.shape), the reference \(tensor.shape).")
            }
            let difference = try difference(tensor.name, file, reference, base)
            // The negation lets NaN count as the worst.
            if !(difference <= worst.difference) { worst = (tensor.name, difference) }
            table.add([tensor.name, "\(tensor.shape)", Quantity.scientific(difference)])
        }
        if !summary { Terminal.print(table.text) }
        Terminal.print(
            "\(reference.tensors.count) tensors, largest relative difference "
                + "\(Quantity.scientific(worst.difference)) (\(worst.name))")
        if let tolerance, !(worst.difference <= tolerance) {
            throw CommandFailure(.failed, "\"\(worst.name)\" differs by more than \(tolerance).")
        }
    }

    private func open(_ path: String) throws -> SafetensorsSet {
        do {
            return try SafetensorsSet(opening: FilePath(path))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }

    private func difference(
        _ name: String, _ file: SafetensorsSet, _ reference: SafetensorsSet, _ base: SafetensorsSet?
    ) throws -> Double {
        var values = try elements(name, of: file)
        if let base { values = zip(values, try elements(name, of: base)).map { $0 - $1 } }
        var (distance, norm) = (0.0, 0.0)
        for (value, expected) in zip(values, try elements(name, of: reference)) {
            distance += (value - expected) * (value - expected)
            norm += expected * expected
        }
        guard distance > 0 else { return distance == 0 ? 0 : .nan }
        return (distance / norm).squareRoot()
    }

    private func elements(_ name: String, of set: SafetensorsSet) throws -> [Double] {
        guard let (file, tensor) = set[name], let type = ElementType(rawValue: tensor.dataType.rawValue) else {
            throw CommandFailure(.badInput, "\(set.path): tensor \"\(name)\" is missing or no floating-point tensor.")
        }
        let bytes = try file.bytes(of: name, count: tensor.byteCount)
        var values = [Double](repeating: 0, count: tensor.byteCount / type.byteCount)
        var span = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &span)
        return values
    }
}
