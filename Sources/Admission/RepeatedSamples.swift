import Identifiers
import JobPlan
import LinearAlgebra
import Safetensors
import SystemPackage
import UnitOperations

/// The search for capture files whose second half of samples repeats the first in every tensor.
///
/// Such a file was written twice. Repetitions in another order are not searched for. For nearly all files, a few bytes
/// of one tensor decide.
struct RepeatedSamples {
    /// The bytes of one file that are compared in full; samples of the rest are compared.
    private static let fullBytes = 128 << 20

    let inventory: JobInventory
    let comparison: TensorComparison

    /// The notices of such files of a task, in the order of files.
    func notices(of task: TaskName) -> [JobNotice] {
        guard let captures = inventory.captures[task] else { return [] }
        var files: [Int: [Rows]] = [:]
        func add(_ tensor: CapturedRows, positions: Int, probes: Int) {
            for slice in tensor.slices {
                files[slice.slice.file, default: []].append(
                    Rows(tensor: tensor, slice: slice, blocks: probes, rowsOfSample: positions))
            }
        }
        for layer in captures.layers.values {
            let positions = max(1, layer.positions ?? 1)
            add(layer.input, positions: positions, probes: 1)
            add(layer.outputGradient, positions: positions, probes: max(1, captures.probes))
        }
        for parameter in captures.parameters.values {
            add(parameter.gradient, positions: 1, probes: max(1, captures.probes))
        }
        var faults = SharedFaults()
        for (file, rows) in files.sorted(by: { $0.key < $1.key })
        where isRepeated(rows.sorted { $0.slice.slice.offset < $1.slice.slice.offset }) {
            faults.append(
                "the second half of the samples repeats the first in every tensor of the capture. That changes no factor "
                    + "of the file, but task \"\(task)\" counts its samples twice. Capture them once, or set "
                    + "\"curvature_weight\".",
                about: nil, of: "captures", at: comparison.files[file].path.string)
        }
        return faults.notices
    }

    /// The rows of one tensor in a file: one block for each probe, all of equal size.
    ///
    /// Each block has the samples one after the other.
    private struct Rows {
        let tensor: CapturedRows
        let slice: RowSlice
        let blocks: Int
        let rowsOfSample: Int

        /// The first and the second half of each block; empty if the samples cannot be halved.
        var halves: [(TensorInventory, TensorInventory)] {
            let rows = slice.rows / blocks / 2
            guard rows > 0, rows * 2 * blocks == slice.rows, rows.isMultiple(of: rowsOfSample) else { return [] }
            let byteCount = slice.slice.byteCount / UInt64(2 * blocks)
            let parts = (0..<2 * blocks).map { part in
                TensorInventory(
                    name: tensor.tensor, elementType: tensor.rowType.name, shape: [rows, tensor.columns],
                    slice: FileSlice(
                        file: slice.slice.file, offset: slice.slice.offset + UInt64(part) * byteCount,
                        byteCount: byteCount))
            }
            return (0..<blocks).map { (parts[2 * $0], parts[2 * $0 + 1]) }
        }
    }

    private func isRepeated(_ rows: [Rows]) -> Bool {
        // One tensor nearly always decides, so the halves of the others are not made before.
        guard let first = rows.first?.halves.first, (try? comparison.samplesDiffer(first.0, first.1)) == false else {
            return false
        }
        var pairs: [(TensorInventory, TensorInventory)] = []
        for halves in rows.lazy.map(\.halves) {
            guard !halves.isEmpty else { return false }
            pairs += halves
        }
        return comparison.areEqual(pairs, fullBytes: Self.fullBytes)
    }
}
