import Identifiers
import JobFiles
import Laboratory
import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import TestSupport

/// A model of one block with random parameters: 5 positions, width 8, 6 features.
struct TinyModel {
    let directory: TemporaryDirectory
    let base: BaseModel

    static let configuration = #"{"d": 8, "depth": 1, "heads": 2, "mlp": 2, "patch": 14, "out": 6}"#

    init() throws {
        directory = try TemporaryDirectory()
        let path = FilePath(directory.appending("base.safetensors"))
        try Self.write(Self.tensors(seed: 1), metadata: ["cfg": Self.configuration], to: path)
        base = try BaseModel(opening: path)
    }

    func path(_ name: String) -> FilePath { FilePath(directory.appending(name)) }

    /// Tokens of some random images, `[samples, positions, width]`.
    func tokens(samples: Int, seed: UInt64 = 7) -> [Float] {
        var random = SplitMix64(seed: seed)
        return base.embedding.tokens(of: (0..<samples * 28 * 28).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }

    /// A tensor of the test's files.
    struct Tensor {
        var name: String
        var shape: [Int]
        var values: [Float]
    }

    static func tensors(seed: UInt64) throws -> [Tensor] {
        let shape = try VisionTransformerShape(
            width: 8, depth: 1, headCount: 2, hiddenRatio: 2, patchSide: 14, featureWidth: 6)
        var random = SplitMix64(seed: seed)
        let frozen = [("patch.weight", [8, 14 * 14]), ("patch.bias", [8]), ("pos_embed", [5, 8])]
        return (frozen + ParameterLayout(shape: shape).entries.map { ($0.name, $0.shape) }).map { name, shape in
            let isScale = name.contains("ln") && name.hasSuffix(".weight")
            let count = shape.reduce(1, *)
            return Tensor(
                name: name, shape: shape, values: random.values(count).map { Float($0) * 0.4 + (isScale ? 1 : 0) })
        }
    }

    static func write(_ tensors: [Tensor], metadata: [String: String], to path: FilePath) throws {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: tensors.map { TensorDescription(name: $0.name, dataType: .float32, shape: $0.shape) },
            metadata: metadata)
        for tensor in tensors { try writer.write(tensor.values.span.bytes, to: tensor.name) }
        try writer.finish()
    }
}

/// The message of the error that a body throws; empty without an error.
func message<Failure: Error>(of body: () throws(Failure) -> Void) -> String {
    do throws(Failure) {
        try body()
        return ""
    } catch { return "\(error)" }
}

/// The message of the error that an asynchronous body throws; empty without an error.
func message<Failure: Error>(of body: () async throws(Failure) -> Void) async -> String {
    do throws(Failure) {
        try await body()
        return ""
    } catch { return "\(error)" }
}
