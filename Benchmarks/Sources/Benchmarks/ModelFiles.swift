import Safetensors
import SystemPackage

/// Generated checkpoints and captures.
struct ModelFiles {
    let directory: WorkDirectory
    private let numbers = RandomNumbers()

    init(directory: WorkDirectory) {
        self.directory = directory
    }

    /// Writes a file of random tensors, unless it is there.
    func write(_ name: String, _ tensors: [TensorDescription], metadata: [String: String] = [:], seed: Int) throws {
        let path = FilePath(directory.file(name))
        if (try? SafetensorsFile(opening: path)) != nil { return }
        try WholeFile.createDirectory(at: path.removingLastComponent())
        let writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: metadata)
        for (position, tensor) in tensors.enumerated() {
            let byteCount = tensor.byteCount ?? 0
            try numbers.forEachPiece(byteCount: byteCount, seed: seed * 1000 + position) { bytes, offset throws in
                try writer.write(bytes, to: tensor.name, at: offset)
            }
        }
        try writer.finish()
    }
}
