public import LinearAlgebra
import Safetensors
public import SystemPackage

/// Writes one file of partial sums from packed triangles and diagonals, in any order.
///
/// No file appears before ``finish()``.
public final class PartialsWriter: Sendable {
    private let writer: SafetensorsWriter

    /// A sum to write.
    public struct Entry: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// The matrix's rows and columns, and whether only its diagonal is written.
        public let shape: SymmetricShape
        /// F32 or F64.
        public let elementType: ElementType

        /// Announces a sum.
        public init(_ name: CurvatureTensorName, shape: SymmetricShape, elementType: ElementType = .f64) {
            self.name = name
            self.shape = shape
            self.elementType = elementType
        }

        /// Announces a sum with all its elements.
        public init(_ name: CurvatureTensorName, dimension: Int, elementType: ElementType = .f64) {
            self.init(name, shape: .full(dimension), elementType: elementType)
        }
    }

    /// Begins a file.
    ///
    /// - Parameters:
    ///   - path: The final path; a file of that name stays until ``finish()``.
    ///   - entries: All sums, in the order of the file.
    ///   - metadata: What was summed; the names of diagonals are those of the entries.
    /// - Throws: ``JobFileError``; nothing is left behind.
    public init(path: FilePath, entries: [Entry], metadata: PartialsMetadata) throws(JobFileError) {
        var tensors: [TensorDescription] = []
        for entry in entries {
            // Refuses a dimension whose triangle is too large, before the shape is computed.
            _ = try wrapping(path) { () throws(LinearAlgebraError) in
                try entry.shape.elementCount()
            }
            tensors.append(
                TensorDescription(
                    name: entry.name.name, dataType: entry.elementType == .f64 ? .float64 : .float32,
                    shape: CurvatureStorage.packed.tensorShape(of: entry.shape)))
        }
        var strings = metadata.strings
        strings[MetadataKey.diagonal] = Set(entries.filter(\.shape.isDiagonal).map(\.name)).metadataText
        writer = try wrapping { () throws(SafetensorsError) in
            try SafetensorsWriter(path: path, tensors: tensors, metadata: strings)
        }
    }

    /// Writes one sum.
    ///
    /// - Parameters:
    ///   - sum: A matrix of the announced shape and type; not kept.
    ///   - name: The name of an entry.
    /// - Throws: ``JobFileError``; the sum may be partly written, and then the file cannot be finished.
    public func write<Scalar: MatrixScalar>(
        _ sum: borrowing PackedSymmetricMatrix<Scalar>, to name: CurvatureTensorName
    ) throws(JobFileError) {
        do throws(SafetensorsError) {
            try sum.withBytes { (bytes: RawSpan) throws(SafetensorsError) in try writer.write(bytes, to: name.name) }
        } catch { throw .safetensors(error) }
    }

    /// Writes a part of a sum.
    ///
    /// - Parameters:
    ///   - bytes: Elements of the announced type, in the order of the packed triangle or the diagonal; not kept.
    ///   - name: The name of an entry.
    ///   - byteOffset: The first byte, counted from the sum's start.
    /// - Throws: ``JobFileError``; after a failed write the same part may be tried again.
    public func write(_ bytes: RawSpan, to name: CurvatureTensorName, at byteOffset: Int) throws(JobFileError) {
        try wrapping { () throws(SafetensorsError) in try writer.write(bytes, to: name.name, at: byteOffset) }
    }

    /// Publishes the file.
    ///
    /// - Throws: ``JobFileError``, with every missing sum; no file has appeared then.
    public func finish() throws(JobFileError) {
        try wrapping { () throws(SafetensorsError) in try writer.finish() }
    }
}
