import Foundation
import Laboratory
import ReferenceModel
import Safetensors
import Study
import SystemPackage
import TestSupport

/// The three files of a study: a model of one block with random parameters, and three tasks.
///
/// The images of each class have one bright quarter.
final class TinyStudy: Sendable {
    static let tasks = ["alpha", "beta", "gamma"]
    static let configuration = #"{"d": 8, "depth": 1, "heads": 2, "mlp": 2, "patch": 14, "out": 6}"#

    let directory: TemporaryDirectory

    /// A tensor's name, shape and bytes.
    struct Tensor {
        var name: String
        var type = TensorDataType.float32
        var shape: [Int]
        var bytes: [UInt8]

        init(_ name: String, _ shape: [Int], _ values: [Float]) {
            self.name = name
            self.shape = shape
            bytes = values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
        }

        init(_ name: String, _ shape: [Int], _ bytes: [UInt8]) {
            self.name = name
            self.shape = shape
            self.bytes = bytes
            type = .uint8
        }
    }

    init() throws {
        directory = try TemporaryDirectory()
        try Self.write(Self.base(), metadata: ["cfg": Self.configuration], to: path("base.safetensors"))
        var random = SplitMix64(seed: 2)
        try writeHeads(Self.tasks.map { ($0, 3) }, &random)
        try writeData(order: Self.tasks)
    }

    func path(_ name: String) -> FilePath { FilePath(directory.appending(name)) }

    /// Reads the files.
    ///
    /// - Throws: `LaboratoryError`.
    func inputs() throws(LaboratoryError) -> StudyInputs { try StudyInputs(FilePath(directory.path)) }

    func writeHeads(_ heads: [(task: String, classes: Int)], _ random: inout SplitMix64) throws {
        let tensors = heads.map { task, classes in
            Tensor("\(task).head", [classes, 6], random.values(classes * 6).map { Float($0) * 2 })
        }
        try Self.write(tensors, metadata: [:], to: path("heads.safetensors"))
    }

    /// Writes six training images for each class, and other numbers of validation and test images.
    ///
    /// - Parameters:
    ///   - order: The order of the tasks in the file.
    ///   - changed: A task that gets other images of the same classes.
    /// - Throws: `SafetensorsError`.
    func writeData(order: [String], changing changed: String? = nil) throws {
        var tensors: [Tensor] = []
        for (index, task) in Self.tasks.enumerated() {
            for (split, count) in [("train", 18), ("validation", 9), ("test", 12)] {
                var random = SplitMix64(seed: UInt64(100 * index + count + (task == changed ? 1000 : 0)))
                tensors.append(
                    Tensor("\(task).\(split).x", [count, 28, 28], Self.images(count, shift: index, &random)))
                tensors.append(Tensor("\(task).\(split).y", [count], (0..<count).map { UInt8($0 % 3) }))
            }
        }
        let names = order.map { "\"\($0)\"" }.joined(separator: ", ")
        try Self.write(tensors, metadata: ["tasks": "[\(names)]"], to: path("data.safetensors"))
    }

    private static func images(_ count: Int, shift: Int, _ random: inout SplitMix64) -> [UInt8] {
        (0..<count).flatMap { sample in
            (0..<28 * 28).map { pixel in
                let isBright = pixel / 28 / 14 * 2 + pixel % 28 / 14 == (sample + shift) % 3
                return UInt8(truncatingIfNeeded: random.next() % 100) + (isBright ? 150 : 0)
            }
        }
    }

    private static func base() throws -> [Tensor] {
        let shape = try VisionTransformerShape(
            width: 8, depth: 1, headCount: 2, hiddenRatio: 2, patchSide: 14, featureWidth: 6)
        var random = SplitMix64(seed: 1)
        let frozen = [("patch.weight", [8, 14 * 14]), ("patch.bias", [8]), ("pos_embed", [5, 8])]
        return (frozen + ParameterLayout(shape: shape).entries.map { ($0.name, $0.shape) }).map { name, shape in
            let isScale = name.contains("ln") && name.hasSuffix(".weight")
            let values = random.values(shape.reduce(1, *))
            return Tensor(name, shape, values.map { Float($0) * 0.4 + (isScale ? 1 : 0) })
        }
    }

    static func write(_ tensors: [Tensor], metadata: [String: String], to path: FilePath) throws {
        let writer = try SafetensorsWriter(
            path: path,
            tensors: tensors.map { TensorDescription(name: $0.name, dataType: $0.type, shape: $0.shape) },
            metadata: metadata)
        for tensor in tensors { try writer.write(tensor.bytes.span.bytes, to: tensor.name) }
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
