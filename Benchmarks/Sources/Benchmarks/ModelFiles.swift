import FileAccess
import Foundation
import Safetensors
import SystemPackage

/// Generated checkpoints and captures.
struct ModelFiles {
    let directory: WorkDirectory
    private let numbers = RandomNumbers()
    private let halves = RandomNumbers(areBFloat16: true)

    init(directory: WorkDirectory) {
        self.directory = directory
    }

    /// Written to the metadata, so that a file from an earlier generator is made again.
    private static let generation = "2"

    /// Writes a file of random tensors, unless it exists.
    func write(_ name: String, _ tensors: [TensorDescription], metadata: [String: String] = [:], seed: Int) throws {
        let path = FilePath(directory.file(name))
        var metadata = metadata
        metadata["generation"] = Self.generation
        if let file = try? SafetensorsFile(opening: path), file.header.metadata == metadata,
            file.header.tensors.map(\.shape) == tensors.map(\.shape)
        {
            return
        }
        try FileManager.default.createDirectory(
            atPath: path.removingLastComponent().string, withIntermediateDirectories: true)
        let writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: metadata)
        for (position, tensor) in tensors.enumerated() {
            let byteCount = tensor.byteCount ?? 0
            let numbers = tensor.dataType == .bfloat16 ? halves : numbers
            try numbers.forEachPiece(byteCount: byteCount, seed: seed * 1000 + position) { bytes, offset throws in
                try writer.write(bytes, to: tensor.name, at: offset)
            }
        }
        try writer.finish()
    }
}
