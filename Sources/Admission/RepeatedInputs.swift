import FileAccess
import Identifiers
import JobPlan
import LinearAlgebra
import Safetensors
import SystemPackage
import UnitOperations

/// The search for inputs with the same values: copies, links, or one file under two tasks.
///
/// Inputs are compared by content, not by path. Rows that one task would count twice are refused. Inputs that two tasks
/// share are a notice. Checkpoints and factor sets are equal if all their tensors are equal. Captures are compared file
/// by file, in the tensors that both files have.
struct RepeatedInputs {
    private static let sampleBytes = 4096
    /// The bytes of one input that are compared in full; samples of the rest are compared.
    private static let fullBytes = 256 << 20
    /// The number of tensors whose samples decide whether two checkpoints are compared.
    private static let sampledTensors = 32
    /// The most inputs with equal samples that an input is compared with.
    private static let comparisonsMax = 4

    let inventory: JobInventory
    let comparison: TensorComparison

    private var refused = SharedFaults()
    private var noted = SharedFaults()

    /// The inputs that one task would count twice.
    var problems: [JobProblem] { refused.problems }
    /// The inputs that two tasks share.
    var notices: [JobNotice] { noted.notices }

    init(inventory: JobInventory, files: [SafetensorsFile], tasks: [TaskName]) {
        self.inventory = inventory
        comparison = TensorComparison(files: files)
        findCaptures(tasks.flatMap { captures(of: $0) })
        tasks.forEach { findPartials(of: $0) }
        findWholes(tasks.compactMap { checkpoint(of: $0) }) { task, other, place in
            "the checkpoint of task \"\(task)\" holds the same weights as that of task \"\(other)\" (\(place)): both tasks "
                + "have the same vector."
        }
        findWholes(tasks.compactMap { factorSet(of: $0) }) { task, other, place in
            "the factors of task \"\(task)\" are the same as those of task \"\(other)\" (\(place)): both tasks have this "
                + "curvature."
        }
    }

    /// The tensors of a task's captures in one file, or those of a checkpoint or a factor set.
    private struct Part {
        let task: TaskName
        /// The file, or the first of several.
        let file: Int
        /// The tensors, in an order that does not depend on a dictionary's.
        var tensors: [TensorInventory]
    }

    // MARK: - Captures

    private func captures(of task: TaskName) -> [Part] {
        guard let captures = inventory.captures[task] else { return [] }
        var parts: [Int: [TensorInventory]] = [:]
        func add(_ tensor: CapturedRows) {
            for slice in tensor.slices {
                parts[slice.slice.file, default: []].append(
                    TensorInventory(
                        name: tensor.tensor, elementType: tensor.rowType.name,
                        shape: [slice.rows, tensor.columns], slice: slice.slice))
            }
        }
        for layer in captures.layers.values {
            add(layer.input)
            add(layer.outputGradient)
        }
        for parameter in captures.parameters.values { add(parameter.gradient) }
        return parts.sorted { $0.key < $1.key }.map { file, tensors in
            Part(task: task, file: file, tensors: tensors.sorted { $0.slice.offset < $1.slice.offset })
        }
    }

    /// A tensor's name, type and shape, with the bytes in its middle or their digest.
    private struct Sample: Hashable {
        let name: String
        let elementType: String
        let shape: [Int]
        let bytes: [UInt8]

        /// Name and bytes tell all samples of a task apart, unless it holds a tensor twice.
        func hash(into hasher: inout Hasher) {
            hasher.combine(name)
            hasher.combine(bytes)
        }
    }

    private mutating func findCaptures(_ parts: [Part]) {
        guard parts.count > 1 else { return }
        var firsts: [Sample: Int] = [:]
        firsts.reserveCapacity(parts.reduce(0) { $0 + $1.tensors.count })
        for (position, part) in parts.enumerated() {
            var compared: Set<Int> = []
            for tensor in part.tensors {
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
        // The paths are not resolved: two links to one file would have the same resolved path.
        let (path, otherPath) = (path(of: part), path(of: other))
        let same = isSameFile(part, other) ? "is the same file as \(otherPath)" : "holds the same rows as \(otherPath)"
        if part.task == other.task {
            refused.append(
                "the capture \(same): task \"\(part.task)\" would count them twice. Remove one of them, or narrow "
                    + "\"captures\".",
                about: nil, of: "captures of task \"\(part.task)\"", at: path)
        } else {
            noted.append(
                "the capture of task \"\(part.task)\" holds the same rows as that of task \"\(other.task)\" "
                    + "(\(otherPath)): both tasks have this curvature. \(Self.advice)",
                about: nil, of: "captures of tasks \"\(part.task)\" and \"\(other.task)\"", at: path)
        }
    }

    // MARK: - Partial sums

    /// Finds files of a task that hold the same sums under different numbers.
    private mutating func findPartials(of task: TaskName) {
        guard let partials = inventory.partials[task] else { return }
        var tensors: [Int: [TensorInventory]] = [:]
        for (name, sum) in partials.sums.sorted(by: { $0.key.description < $1.key.description }) {
            for slice in sum.slices {
                tensors[slice.file, default: []].append(
                    TensorInventory(
                        name: name.description, elementType: sum.elementType.rawValue, shape: [sum.shape.dimension],
                        slice: slice))
            }
        }
        var groups: [BlobDigest: [Part]] = [:]
        for (file, tensors) in tensors.sorted(by: { $0.key < $1.key }) {
            let part = Part(task: task, file: file, tensors: tensors)
            guard let traits = traits(of: part) else { continue }
            let others = groups[traits, default: []].prefix(Self.comparisonsMax)
            guard let other = others.first(where: { areEqual($0, part) }), !isZero(part) else {
                groups[traits, default: []].append(part)
                continue
            }
            refused.append(
                "holds the same sums as \(path(of: other)) under another rank or sequence: task \"\(task)\" would count "
                    + "their rows twice. Remove one of them, or repeat the run.",
                about: nil, of: "partial sums of task \"\(task)\"", at: path(of: part))
        }
    }

    /// Whether the middle of each sum is zero.
    ///
    /// Sums of no rows are equal, and no repetition.
    private func isZero(_ part: Part) -> Bool {
        part.tensors.allSatisfy { middle(of: $0)?.allSatisfy { $0 == 0 } ?? false }
    }

    private static let advice = "Correct one of them unless that is meant."

    // MARK: - Checkpoints and factor sets

    /// A task's checkpoint, or nil for a task that lists the base itself: another check reports that.
    private func checkpoint(of task: TaskName) -> Part? {
        guard let checkpoint = inventory.checkpoints[task], !inventory.baseTasks.contains(task) else { return nil }
        // The other tensors of an adapter are the base's.
        guard let adapter = checkpoint.adapter else { return whole(task, Array(checkpoint.tensors.values)) }
        return Part(
            task: task, file: adapter.file, tensors: checkpoint.tensors.values.sorted { $0.name < $1.name })
    }

    private func factorSet(of task: TaskName) -> Part? {
        guard let set = inventory.factorSets[task] else { return nil }
        return whole(
            task,
            set.factors.map { name, factor in
                TensorInventory(
                    name: name.description, elementType: factor.elementType.rawValue,
                    shape: [factor.shape.dimension, factor.isPacked ? 1 : factor.shape.dimension],
                    slice: factor.slice)
            })
    }

    private func whole(_ task: TaskName, _ tensors: [TensorInventory]) -> Part? {
        let sorted = tensors.sorted { $0.name < $1.name }
        return sorted.map(\.slice.file).min().map { Part(task: task, file: $0, tensors: sorted) }
    }

    private mutating func findWholes(
        _ parts: [Part], sentence: (_ task: TaskName, _ other: TaskName, _ place: String) -> String
    ) {
        guard parts.count > 1 else { return }
        var groups: [BlobDigest: [Part]] = [:]
        for part in parts {
            guard let traits = traits(of: part) else { continue }
            let others = groups[traits, default: []].prefix(Self.comparisonsMax)
            if let other = others.first(where: { isSameFile($0, part) || areEqual($0, part) }) {
                let words = sentence(part.task, other.task, path(of: other))
                noted.append(
                    "\(words) \(Self.advice)", about: nil, of: "inputs of task \"\(part.task)\"", at: path(of: part))
            } else {
                groups[traits, default: []].append(part)
            }
        }
    }

    /// A digest of all names, types and shapes, and of some tensors' samples.
    ///
    /// Different inputs have different digests, unless they differ only in a few tensors.
    private func traits(of part: Part) -> BlobDigest? {
        var chain: [UInt8] = []
        for tensor in part.tensors { chain += "\(tensor.name)\n\(tensor.elementType) \(tensor.shape)\n".utf8 }
        let step = max(1, part.tensors.count / Self.sampledTensors)
        for position in stride(from: 0, to: part.tensors.count, by: step) {
            guard let sample = sample(of: part.tensors[position]) else { return nil }
            chain += sample.bytes
        }
        return BlobDigest(sha256: FileDigest.sha256(of: chain))
    }

    // MARK: - Comparison

    private func path(of part: Part) -> String { comparison.files[part.file].path.string }

    private func isSameFile(_ part: Part, _ other: Part) -> Bool {
        inventory.files[part.file].path == inventory.files[other.file].path
    }

    /// The sample of a tensor, or nil if it cannot be read: a later step reports that.
    private func sample(of tensor: TensorInventory) -> Sample? {
        guard let bytes = middle(of: tensor) else { return nil }
        return Sample(
            name: tensor.name, elementType: tensor.elementType, shape: tensor.shape,
            bytes: bytes.count <= 64 ? bytes : FileDigest.sha256(of: bytes))
    }

    private func middle(of tensor: TensorInventory) -> [UInt8]? {
        let byteCount = Int(tensor.slice.byteCount)
        let start = max(0, byteCount / 2 - Self.sampleBytes / 2)
        return try? comparison.bytes(of: tensor, start..<min(start + Self.sampleBytes, byteCount))
    }

    private func areEqual(_ left: Part, _ right: Part) -> Bool {
        let others = Dictionary(right.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let pairs = left.tensors.compactMap { own in others[own.name].map { (own, $0) } }
        return comparison.areEqual(pairs, fullBytes: Self.fullBytes)
    }
}
