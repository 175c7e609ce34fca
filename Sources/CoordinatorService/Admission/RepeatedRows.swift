import Identifiers
import JobPlan
import LinearAlgebra
import Safetensors
import SystemPackage

/// Capture files that hold the same rows: copies, links, or the same file under two tasks.
///
/// Files are told apart by their content, not by their paths. Each tensor's middle is sampled; where a sample agrees
/// with another file's, all tensors that the two have in common are compared, byte for byte up to ``fullBytes``. Rows
/// that a task would count twice are refused; rows that two tasks share are a notice.
struct RepeatedRows {
    private static let sampleBytes = 4096
    /// Bytes of one file that are compared before samples of the rest must do.
    private static let fullBytes = 256 << 20

    let inventory: JobInventory
    let comparison: TensorComparison

    private(set) var problems: [JobProblem] = []
    private(set) var notices: [JobNotice] = []

    init(inventory: JobInventory, files: [SafetensorsFile], tasks: [TaskName]) {
        self.inventory = inventory
        comparison = TensorComparison(files: files)
        find(in: tasks.flatMap { Self.parts(of: $0, in: inventory) })
    }

    /// What one file holds of a task.
    private struct Part {
        let task: TaskName
        let file: Int
        var tensors: [String: TensorInventory] = [:]
    }

    private static func parts(of task: TaskName, in inventory: JobInventory) -> [Part] {
        guard let captures = inventory.captures[task] else { return [] }
        let rows =
            captures.layers.values.flatMap { [$0.input, $0.outputGradient] }
            + captures.parameters.values.map(\.gradient)
        var parts: [Int: Part] = [:]
        for tensor in rows {
            for slice in tensor.slices {
                parts[slice.slice.file, default: Part(task: task, file: slice.slice.file)].tensors[tensor.tensor] =
                    TensorInventory(
                        name: tensor.tensor, elementType: tensor.elementType.rawValue,
                        shape: [slice.rows, tensor.columns], slice: slice.slice)
            }
        }
        return parts.values.sorted { $0.file < $1.file }
    }

    private mutating func find(in parts: [Part]) {
        var firsts: [BlobDigest: Int] = [:]
        for (position, part) in parts.enumerated() {
            var compared: Set<Int> = []
            for tensor in part.tensors.values.sorted(by: { $0.name < $1.name }) {
                guard let sample = sample(of: tensor) else { continue }
                guard let other = firsts[sample] else {
                    firsts[sample] = position
                    continue
                }
                guard other != position, compared.insert(other).inserted, areEqual(parts[other], part) else { continue }
                report(part, repeating: parts[other])
                break
            }
        }
    }

    private mutating func report(_ part: Part, repeating other: Part) {
        // As they were found: a link's destination would be named twice.
        let paths = (comparison.files[part.file].path.string, comparison.files[other.file].path.string)
        let isSame = inventory.files[part.file].path == inventory.files[other.file].path
        let (path, otherPath) = paths
        let same = isSame ? "is the same file as \(otherPath)" : "holds the same rows as \(otherPath)"
        if part.task == other.task {
            problems.append(
                JobProblem(
                    at: path,
                    "the capture \(same): task \"\(part.task)\" would count them twice. Remove one of them, or narrow "
                        + "\"captures\"."))
        } else {
            notices.append(
                JobNotice(
                    at: path,
                    "the capture of task \"\(part.task)\" holds the same rows as that of task \"\(other.task)\" "
                        + "(\(otherPath)): both tasks have this curvature. Correct one of them unless that is meant."))
        }
    }

    /// A digest of a tensor's name, shape, and bytes in the middle; nil when it cannot be read, which fails later.
    private func sample(of tensor: TensorInventory) -> BlobDigest? {
        let byteCount = Int(tensor.slice.byteCount)
        let start = max(0, byteCount / 2 - Self.sampleBytes / 2)
        guard let bytes = try? comparison.bytes(of: tensor, start..<min(start + Self.sampleBytes, byteCount)) else {
            return nil
        }
        let name = Array("\(tensor.name)\n\(tensor.elementType) \(tensor.shape)\n".utf8)
        return BlobDigest(sha256: FileDigest.sha256(of: name + bytes))
    }

    private func areEqual(_ left: Part, _ right: Part) -> Bool {
        let names = left.tensors.keys.filter { right.tensors[$0] != nil }.sorted()
        let pairs = names.compactMap { name in
            left.tensors[name].flatMap { own in right.tensors[name].map { (own, $0) } }
        }
        guard !pairs.isEmpty else { return false }
        // Samples first: they tell nearly all different files apart, whatever their size.
        guard !pairs.contains(where: { (try? comparison.samplesDiffer($0, $1)) ?? true }) else { return false }
        var budget = Self.fullBytes
        for (own, other) in pairs {
            guard budget > 0 else { return true }
            budget -= Int(own.slice.byteCount)
            if (try? comparison.differ(own, other)) ?? true { return false }
        }
        return true
    }
}
