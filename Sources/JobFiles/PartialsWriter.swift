public import LinearAlgebra
import Safetensors
public import SystemPackage

/// Writes one file of partial sums from packed triangles, in any order.
///
/// No file appears before ``finish()``.
public final class PartialsWriter: Sendable {
    private let writer: SafetensorsWriter

    /// A sum to write.
    public struct Entry: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// Number of rows, equal to the number of columns.
        public let dimension: Int
        /// F32 or F64.
        public let elementType: ElementType

        /// Announces a sum.
        public init(_ name: CurvatureTensorName, dimension: Int, elementType: ElementType = .f64) {
            self.name = name
            self.dimension = dimension
            self.elementType = elementType
        }
    }

    /// Begins a file.
    ///
    /// - Parameters:
    ///   - path: The final path; a file of that name stays until ``finish()``.
    ///   - entries: All sums, in the order of the file.
    ///   - metadata: What was summed.
    /// - Throws: ``JobFileError``; nothing is left behind.
    public init(path: FilePath, entries: [Entry], metadata: PartialsMetadata) throws(JobFileError) {
        var tensors: [TensorDescription] = []
        for entry in entries {
            // Refuses a dimension whose triangle is too large, before the shape is computed.
            _ = try wrapping(path) { () throws(LinearAlgebraError) in
                try PackedTriangle.elementCount(dimension: entry.dimension)
            }
            tensors.append(
                TensorDescription(
                    name: entry.name.name, dataType: entry.elementType == .f64 ? .float64 : .float32,
                    shape: CurvatureStorage.packed.shape(dimension: entry.dimension)))
        }
        let strings = metadata.strings
        writer = try wrapping { () throws(SafetensorsError) in
            try SafetensorsWriter(path: path, tensors: tensors, metadata: strings)
        }
    }

    /// Writes one sum.
    ///
    /// - Parameters:
    ///   - sum: A matrix of the announced dimension and type; not kept.
    ///   - name: The name of an entry.
    /// - Throws: ``JobFileError``; the sum may be partly written, and then the file cannot be finished.
    public func write<Scalar: MatrixScalar>(
        _ sum: borrowing PackedSymmetricMatrix<Scalar>, to name: CurvatureTensorName
    ) throws(JobFileError) {
        do throws(SafetensorsError) {
            try sum.withBytes { (bytes: RawSpan) throws(SafetensorsError) in try writer.write(bytes, to: name.name) }
        } catch { throw .safetensors(error) }
    }

    /// Publishes the file.
    ///
    /// - Throws: ``JobFileError``, with every missing sum; no file has appeared then.
    public func finish() throws(JobFileError) {
        try wrapping { () throws(SafetensorsError) in try writer.finish() }
    }
}
