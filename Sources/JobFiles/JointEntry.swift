import Safetensors
public import SystemPackage

/// A tensor of joint rows in a factor set or a file of partial sums.
public struct JointEntry: Equatable, Sendable {
    /// The owner of the rows, and what the tensor holds.
    public let name: JointTensorName
    /// The shape, outermost first.
    public let shape: [Int]
    /// The file that holds the tensor.
    public let file: FilePath
    /// The tensor's bytes, F32, from the start of the file.
    public let fileRange: Range<Int>

    /// Checks the type of a tensor.
    ///
    /// - Throws: ``JobFileError/dataType(file:tensor:found:expected:)`` for another type than F32.
    init(
        _ name: JointTensorName, _ info: TensorInfo, after dataOffset: Int, of file: FilePath
    ) throws(JobFileError) {
        guard info.dataType == .float32 else {
            throw .dataType(file: file, tensor: info.name, found: info.dataType, expected: "F32")
        }
        let start = dataOffset + info.byteRange.lowerBound
        (self.name, self.file, shape) = (name, file, info.shape)
        fileRange = start..<start + info.byteCount
    }
}
