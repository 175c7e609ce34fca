import JobFiles
import Safetensors
import SystemPackage
import TestSupport

/// A tensor for a test file: name, type, shape and values.
struct TestTensor {
    let name: String
    var dataType = TensorDataType.float32
    let shape: [Int]
    let bytes: [UInt8]

    init(_ name: String, _ shape: [Int], _ value: (Int) -> Float = { Float($0) }) {
        self.name = name
        self.shape = shape
        self.bytes = (0..<shape.reduce(1, *)).flatMap { index in littleEndian(value(index).bitPattern) }
    }

    /// Zeros of any type.
    init(_ name: String, _ shape: [Int], zeros dataType: TensorDataType) {
        self.name = name
        self.shape = shape
        self.dataType = dataType
        self.bytes = [UInt8](repeating: 0, count: shape.reduce(1, *) * dataType.bitCount / 8)
    }

    /// The upper halves of binary32 values.
    init(_ name: String, _ shape: [Int], bfloat16 value: (Int) -> Float) {
        self.name = name
        self.shape = shape
        self.dataType = .bfloat16
        self.bytes = (0..<shape.reduce(1, *)).flatMap { index in
            littleEndian(UInt16(truncatingIfNeeded: value(index).bitPattern >> 16))
        }
    }
}

func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

extension TemporaryDirectory {
    /// Writes a safetensors file and returns its path.
    func write(_ name: String, _ metadata: [String: String], _ tensors: [TestTensor]) throws -> FilePath {
        let path = FilePath(appending(name))
        let descriptions = tensors.map { TensorDescription(name: $0.name, dataType: $0.dataType, shape: $0.shape) }
        let writer = try SafetensorsWriter(path: path, tensors: descriptions, metadata: metadata)
        for tensor in tensors { try writer.write(tensor.bytes.span.bytes, to: tensor.name) }
        try writer.finish()
        return path
    }
}
