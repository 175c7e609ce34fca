import Identifiers
import JobFiles
import LinearAlgebra
import ReferenceModel
import SystemPackage
import TestSupport
import Testing

@testable import Laboratory

struct CurvaturePenaltyReadingTests {
    private let model: TinyModel

    init() throws { model = try TinyModel() }

    /// All matrices of a regularizer of the model.
    private var entries: [CurvatureWriter.Entry] {
        model.base.layout.layers.flatMap { layer in
            let side = layer.inputWidth + (layer.biasOffset == nil ? 0 : 1)
            return [
                CurvatureWriter.Entry(.init(owner: layer.name, side: .input), dimension: side),
                CurvatureWriter.Entry(.init(owner: layer.name, side: .gradient), dimension: layer.outputWidth),
            ]
        } + model.base.layout.vectors.map { .init(.init(owner: $0.name, side: .full), dimension: $0.count) }
    }

    /// An element of a numbered matrix, which is positive definite by its diagonal.
    private func element(_ place: Int, row: Int, column: Int) -> Float {
        Float(place + 1) * (Float(row * (row + 1) / 2 + column) + (row == column ? 1e6 : 0))
    }

    /// Writes a regularizer.
    ///
    /// Its packed matrices hold 0, 1, 2, … times a number for each matrix, and more on the diagonal.
    private func write(
        _ entries: [CurvatureWriter.Entry], form: String = "accumulated", lambda: [String: Double] = [:],
        base: BlobDigest? = nil, tasks: [String] = ["a", "b"], hasBase: Bool = true, scale: Float = 1
    ) throws -> FilePath {
        let metadata = RegularizerMetadata(
            target: "c", form: form, scale: "paper", tasks: tasks.map(TaskName.init(rawValue:)), lambda: lambda,
            normalization: "expand", baseDigest: hasBase ? base ?? BlobDigest(sha256: model.base.digest) : nil)
        let writer = try CurvatureWriter(
            directory: FilePath(model.directory.path), kind: .regularizer, entries: entries,
            metadata: metadata.strings)
        for (place, entry) in entries.enumerated() {
            let count = entry.shape.dimension * (entry.shape.dimension + 1) / 2
            let elements = (0..<entry.shape.dimension).flatMap { row in
                (0...row).map { scale * element(place, row: row, column: $0) }
            }
            #expect(elements.count == count)
            try writer.write(
                PackedSymmetricMatrix<Float>(dimension: entry.shape.dimension, elements: elements), to: entry.name)
        }
        try writer.finish()
        return model.path("regularizer.safetensors")
    }

    /// A numbered matrix as a square.
    private func square(_ place: Int, _ dimension: Int) -> [Float] {
        (0..<dimension * dimension).map { index in
            let (row, column) = index.quotientAndRemainder(dividingBy: dimension)
            let (low, high) = (min(row, column), max(row, column))
            return element(place, row: high, column: low)
        }
    }

    private func renamed(_ entry: CurvatureWriter.Entry, prefix: String) -> CurvatureWriter.Entry {
        .init(.init(owner: prefix + entry.name.owner, side: entry.name.side), dimension: entry.shape.dimension)
    }

    @Test func `an accumulated regularizer is one term of weight 1, whatever λ it names`() throws {
        let path = try write(entries, lambda: ["a": 0.75, "b": 0.25], base: BlobDigest(sha256: model.base.digest))
        let penalty = try CurvaturePenalty(opening: path, for: model.base)
        #expect(penalty.layers.map(\.layer.name) == model.base.layout.layers.map(\.name))
        #expect(penalty.vectors.map(\.entry.name) == model.base.layout.vectors.map(\.name))
        #expect(penalty.layers.allSatisfy { $0.weight == 1 } && penalty.vectors.allSatisfy { $0.weight == 1 })
        for (index, term) in penalty.layers.enumerated() {
            #expect(term.input == square(2 * index, term.inputSide))
            #expect(term.gradient == square(2 * index + 1, term.layer.outputWidth))
        }
        for (index, term) in penalty.vectors.enumerated() {
            #expect(term.block == square(2 * penalty.layers.count + index, term.entry.count))
        }
    }

    @Test func `a per-task regularizer has a term for each task with its λ`() throws {
        let both = entries.map { renamed($0, prefix: "a/") } + entries.map { renamed($0, prefix: "b/") }
        let path = try write(both, form: "per_task", lambda: ["a": 0.75, "b": 0.25])
        let penalty = try CurvaturePenalty(opening: path, for: model.base)
        let layerCount = model.base.layout.layers.count
        #expect(penalty.layers.count == 2 * layerCount)
        #expect(
            penalty.layers.map(\.weight) == Array(repeating: 0.75, count: layerCount)
                + Array(repeating: 0.25, count: layerCount))
        #expect(penalty.vectors.map(\.weight).filter { $0 == 0.25 }.count == model.base.layout.vectors.count)
        #expect(penalty.layers[layerCount].input == square(entries.count, penalty.layers[0].inputSide))
    }

    @Test func `a further Kronecker product adds the layers that it has`() throws {
        let second = entries.prefix(2).map { renamed($0, prefix: CurvatureTensorName.prefix(ofTerm: 1)) }
        let path = try write(entries + second, form: "optimal")
        let penalty = try CurvaturePenalty(opening: path, for: model.base)
        #expect(penalty.layers.count == model.base.layout.layers.count + 1)
        #expect(penalty.layers.last?.layer.name == "blocks.0.qkv")
        #expect(penalty.layers.last?.input == square(entries.count, 9))
        #expect(penalty.vectors.count == model.base.layout.vectors.count)
    }

    // MARK: - What does not fit the model

    private func refusal(_ path: FilePath) -> String {
        message { () throws(LaboratoryError) in _ = try CurvaturePenalty(opening: path, for: model.base) }
    }

    @Test func `a regularizer of another base is refused with both digests`() throws {
        let other = BlobDigest(sha256: [UInt8](repeating: 0xAB, count: 32))
        let path = try write(entries, base: other)
        let own = BlobDigest(sha256: model.base.digest)
        #expect(
            refusal(path) == "\(path): made for the base with SHA-256 \(String(repeating: "ab", count: 32)), but this "
                + "base has \(own). Compute the factors and the regularizer again with this base.")
    }

    @Test func `a regularizer that names no base is refused`() throws {
        let path = try write(entries, hasBase: false)
        #expect(refusal(path).hasPrefix("\(path): made for the base with SHA-256 unknown, but this base has "))
    }

    @Test func `a regularizer that leaves out another task is refused for this one`() throws {
        let path = try write(entries)
        _ = try CurvaturePenalty(opening: path, for: model.base, leavingOut: "c")
        #expect(
            message { () throws(LaboratoryError) in
                _ = try CurvaturePenalty(opening: path, for: model.base, leavingOut: "a")
            }
                == "\(path): leaves out \"c\", so it holds \"a\"'s own factors. Give the regularizer whose target is \"a\"."
        )
    }

    @Test func `a per-task regularizer without a task's λ or factors is refused`() throws {
        let one = entries.map { renamed($0, prefix: "a/") }
        let unweighted = try write(one, form: "per_task", tasks: ["a"])
        #expect(
            refusal(unweighted) == "\(unweighted): \"a/\" has no λ in the metadata. Compute the regularizer again.")
        let partial = try write(one, form: "per_task", lambda: ["a": 0.5, "b": 0.5])
        #expect(
            refusal(partial) == "\(partial): \"b/\" is missing, though the metadata name the task. Compute the "
                + "regularizer again.")
    }

    @Test func `a factor with NaN is named with the element`() throws {
        let path = try write(entries, scale: .nan)
        #expect(
            refusal(path)
                == "\(path): tensor \"blocks.0.qkv.A\" holds NaN or infinity, first at element 0. Make the file "
                + "again.")
    }

    @Test(arguments: [("blocks.0.fc1", "blocks.0.fc1.A"), ("cls_token", "cls_token.F")])
    func `a missing layer or parameter is named`(_ owner: String, _ name: String) throws {
        let path = try write(entries.filter { $0.name.owner != owner })
        #expect(
            refusal(path) == "\(path): \"\(name)\" is missing. Compute the regularizer for all layers of the model.")
    }

    @Test func `a layer with one of its matrices is refused`() throws {
        let path = try write(entries.filter { $0.name.name != "blocks.0.fc1.B" })
        #expect(
            refusal(path) == "\(path): tensor \"blocks.0.fc1.B\" is missing; expected it beside the others. Write the "
                + "file again with it.")
    }

    @Test func `a matrix of another size is named with both`() throws {
        let path = try write(
            entries.map { $0.name.name == "lin_proj.A" ? .init($0.name, dimension: 9) : $0 })
        #expect(refusal(path) == "\(path): \"lin_proj.A\" has dimension 9; the model's layer needs 8.")
    }

    @Test func `a file of another kind is refused`() throws {
        #expect(refusal(model.path("base.safetensors")).hasPrefix("\(model.path("base.safetensors")): "))
    }
}
