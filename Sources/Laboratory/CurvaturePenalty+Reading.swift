import Identifiers
import JobFiles
import LinearAlgebra
import ReferenceModel
import Safetensors
public import SystemPackage

extension CurvaturePenalty {
    /// Reads a regularizer file of any form: one term, several, or one for each task.
    ///
    /// - Parameters:
    ///   - path: The file, or the directory of a sharded set.
    ///   - base: The model that the regularizer must be for.
    ///   - task: The task that is trained under it. nil skips the check that the file leaves the task out.
    /// - Throws: ``LaboratoryError/otherBase(file:expected:found:)``,
    ///   ``LaboratoryError/otherTarget(file:target:task:)``, ``LaboratoryError/notFinite(file:tensor:element:)``,
    ///   ``LaboratoryError/curvatureMismatch(file:tensor:problem:)`` for a missing layer or another size, or
    ///   ``LaboratoryError/jobFile(_:)``.
    public init(
        opening path: FilePath, for base: BaseModel, leavingOut task: String? = nil
    ) throws(LaboratoryError) {
        let file: CurvatureFile
        do throws(JobFileError) { file = try CurvatureFile(path) } catch { throw .jobFile(error) }
        let digest = BlobDigest(sha256: base.digest)
        guard file.metadata.baseDigest == digest else {
            let found = file.metadata.baseDigest.map { "\($0)" } ?? "unknown"
            throw .otherBase(file: path, expected: "\(digest)", found: found)
        }
        if let task, file.metadata.target != task {
            throw .otherTarget(file: path, target: file.metadata.target, task: task)
        }
        try file.requireTasks()
        var layers: [LayerTerm] = []
        var vectors: [VectorTerm] = []
        for prefix in file.prefixes {
            let weight = try file.weight(ofPrefix: prefix)
            for layer in base.layout.layers {
                guard file.holds(prefix + layer.name, .input) || file.isComplete(prefix) else { continue }
                let inputSide = layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)
                layers.append(
                    LayerTerm(
                        layer: layer, weight: weight,
                        input: try file.square(prefix + layer.name, .input, side: inputSide),
                        gradient: try file.square(prefix + layer.name, .gradient, side: layer.outputWidth)))
            }
            for entry in base.layout.vectors {
                guard file.holds(prefix + entry.name, .full) || file.isComplete(prefix) else { continue }
                vectors.append(
                    VectorTerm(
                        entry: entry, weight: weight,
                        block: try file.square(prefix + entry.name, .full, side: entry.count)))
            }
        }
        self.init(layers: layers, vectors: vectors)
    }
}

/// A regularizer file and its names: `<layer>.A` for one term, `<prefix>/<layer>.A` for several terms.
private struct CurvatureFile {
    let path: FilePath
    let set: CurvatureSet
    let metadata: RegularizerMetadata
    /// "" or "fashion/", in the order of the file.
    let prefixes: [String]

    init(_ path: FilePath) throws(JobFileError) {
        self.path = path
        set = try CurvatureSet(opening: path, as: .regularizer)
        metadata = try RegularizerMetadata(parsing: set.tensors.metadata, file: path)
        var prefixes: [String] = []
        for entry in set.entries {
            let prefix = entry.name.owner.lastIndex(of: "/").map { String(entry.name.owner[...$0]) } ?? ""
            if !prefixes.contains(prefix) { prefixes.append(prefix) }
        }
        // A file without tensors lacks all tensors.
        self.prefixes = prefixes.isEmpty ? [""] : prefixes
    }

    /// The λ of equation 7 for a task's own factors; 1 for factors that include their weights.
    func weight(ofPrefix prefix: String) throws(LaboratoryError) -> Float {
        guard metadata.form == "per_task" else { return 1 }
        guard let lambda = metadata.lambda[String(prefix.dropLast())] else {
            throw .curvatureMismatch(
                file: path, tensor: prefix,
                problem: "has no λ in the metadata. Compute the regularizer again")
        }
        guard lambda >= 0, Float(lambda).isFinite else {
            throw .curvatureMismatch(
                file: path, tensor: prefix,
                problem: "has the λ \(lambda) in the metadata; expected 0 to 1. Compute the regularizer again")
        }
        return Float(lambda)
    }

    /// Checks that a per-task file holds the factors of every task that it names.
    func requireTasks() throws(LaboratoryError) {
        guard metadata.form == "per_task" else { return }
        for task in metadata.tasks where !prefixes.contains("\(task)/") {
            throw .curvatureMismatch(
                file: path, tensor: "\(task)/",
                problem: "is missing, though the metadata name the task. Compute the regularizer again")
        }
    }

    /// Whether the term must hold every layer and block; only the further terms of the optimal form need not.
    func isComplete(_ prefix: String) -> Bool { metadata.form != "optimal" || prefix.isEmpty }

    func holds(_ owner: String, _ side: FactorSide) -> Bool {
        set[CurvatureTensorName(owner: owner, side: side)] != nil
    }

    func square(_ owner: String, _ side: FactorSide, side length: Int) throws(LaboratoryError) -> [Float] {
        let name = CurvatureTensorName(owner: owner, side: side)
        guard let entry = set[name] else {
            throw .curvatureMismatch(
                file: path, tensor: name.name,
                problem: "is missing. Compute the regularizer for all layers of the model")
        }
        guard entry.dimension == length else {
            throw .curvatureMismatch(
                file: path, tensor: name.name,
                problem: "has dimension \(entry.dimension); the model's layer needs \(length)")
        }
        guard !entry.shape.isDiagonal else {
            throw .curvatureMismatch(
                file: path, tensor: name.name,
                problem: "is a diagonal; the model's layer needs the whole matrix. Compute it without \"diagonal\"")
        }
        let elements: [Float]
        do throws(JobFileError) {
            let matrix = try set.readFloat(name)
            do throws(LinearAlgebraError) { elements = try matrix.unpacked().elements } catch {
                throw JobFileError.linearAlgebra(file: path, error)
            }
        } catch .noFactor(let file, let tensor, .nonFinite(let row, let column)) {
            throw .notFinite(file: file, tensor: tensor, element: row * length + column)
        } catch { throw .jobFile(error) }
        return elements
    }
}
