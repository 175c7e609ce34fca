public import LinearAlgebra
public import Safetensors
public import SystemPackage

/// Writes the symmetric matrices of a factor, regularizer or inverse file from packed triangles, in any order.
///
/// The set is `<kind>.safetensors` in its own directory, or shards with an index above the byte limit. No file appears
/// before ``finish()``.
///
/// Other processes may write matrices of a staged set too. They are told the ``place(of:_:)``. Such a set stays when
/// its writer is dropped, and another writer goes on with it.
public final class CurvatureWriter: Sendable {
    /// The directory that will hold the file or files.
    public let directory: FilePath
    private let writer: ShardedSafetensorsWriter
    private let storage: CurvatureStorage

    /// Bytes of full rows that are mirrored at a time.
    ///
    /// They and the packed matrix are all the memory in use.
    static let blockByteCount = 8 << 20

    /// A matrix to write.
    public struct Entry: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// The matrix's rows and columns, and whether only its diagonal is written.
        public let shape: SymmetricShape

        /// Announces a matrix.
        public init(_ name: CurvatureTensorName, shape: SymmetricShape) {
            self.name = name
            self.shape = shape
        }

        /// Announces a matrix with all its elements.
        public init(_ name: CurvatureTensorName, dimension: Int) { self.init(name, shape: .full(dimension)) }
    }

    /// Begins a set.
    ///
    /// - Parameters:
    ///   - directory: an existing directory.
    ///   - kind: factors, regularizer or inverses; it determines the file's name.
    ///   - entries: all matrices, in the order of the file.
    ///   - metadata: the kind's strings; the storage and the names of diagonals are added to them.
    ///   - draft: for a staged set, the strings until it is finished, of at least the same length.
    ///   - storage: full squares, or packed triangles of half the size; diagonals are vectors in both.
    ///   - shardByteLimit: bytes of matrices in one file.
    /// - Throws: ``JobFileError``; nothing is left behind but a staged set.
    public init(
        directory: FilePath,
        kind: JobFileKind,
        entries: [Entry],
        metadata: [String: String],
        draft: [String: String]? = nil,
        storage: CurvatureStorage = .full,
        shardByteLimit: Int = ShardLayout.defaultShardByteLimit
    ) throws(JobFileError) {
        var tensors: [TensorDescription] = []
        for entry in entries {
            // Refuses a dimension whose square overflows, before the shape is computed.
            _ = try wrapping(directory) { () throws(LinearAlgebraError) in
                try entry.shape.elementCount()
            }
            let shape = storage.tensorShape(of: entry.shape)
            tensors.append(TensorDescription(name: entry.name.name, dataType: .float32, shape: shape))
        }
        let layout = ShardLayout(tensors: tensors, stem: kind.stem, shardByteLimit: shardByteLimit)
        var common = [MetadataKey.storage: storage.rawValue]
        common[MetadataKey.diagonal] = Set(entries.filter(\.shape.isDiagonal).map(\.name)).metadataText
        let strings = metadata.merging(common) { $1 }
        self.directory = directory
        self.storage = storage
        self.writer = try wrapping { () throws(SafetensorsError) in
            if let draft {
                try ShardedSafetensorsWriter(
                    staging: layout, in: directory, metadata: strings, draft: draft.merging(common) { $1 })
            } else {
                try ShardedSafetensorsWriter(directory: directory, layout: layout, metadata: strings)
            }
        }
    }

    /// The place of a matrix in a staged set.
    public struct Place: Equatable, Sendable {
        /// The file.
        public let file: SafetensorsWriter.StagedIdentity
        /// The first byte in the file.
        public let offset: Int
        /// The rows of the square whose lower triangle is written there; nil if the packed bytes are stored as they
        /// are.
        public let squareRows: Int?
    }

    /// The place of a matrix; nil unless the set is staged.
    ///
    /// - Throws: ``JobFileError`` for an unknown name.
    public func place(of name: CurvatureTensorName, _ shape: SymmetricShape) throws(JobFileError) -> Place? {
        let writer = try writer(named: name.name)
        guard let file = writer.stagedIdentity, let offset = writer.fileOffset(of: name.name) else { return nil }
        return Place(file: file, offset: offset, squareRows: isSquare(shape) ? shape.dimension : nil)
    }

    /// Completes a matrix of a staged set that another process has written: writes the rows that are not yet those of
    /// the matrix.
    ///
    /// - Parameters:
    ///   - matrix: what ``readBack(_:_:)`` gave.
    ///   - name: the name of an entry.
    /// - Throws: ``JobFileError``.
    public func complete(
        _ matrix: borrowing PackedSymmetricMatrix<Float>, in name: CurvatureTensorName
    ) throws(JobFileError) {
        guard isSquare(matrix.shape) else {
            let writer = try writer(named: name.name)
            try wrapping { () throws(SafetensorsError) in try writer.noteWritten(name.name) }
            return
        }
        try write(matrix, mirroredTo: name.name, comparing: true)
    }

    /// Reads a matrix of a staged set back, whoever wrote it; of a square the lower triangle.
    ///
    /// - Throws: ``JobFileError``.
    public func readBack(
        _ name: CurvatureTensorName, _ shape: SymmetricShape
    ) throws(JobFileError) -> PackedSymmetricMatrix<Float> {
        var matrix = try wrapping(directory) { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Float>(shape: shape)
        }
        guard isSquare(shape) else {
            let file = try writer(named: name.name)
            do throws(SafetensorsError) {
                try matrix.withMutableBytes { (bytes: inout MutableRawSpan) throws(SafetensorsError) in
                    try file.read(name.name, at: 0, into: &bytes)
                }
            } catch { throw .safetensors(error) }
            return matrix
        }
        let dimension = shape.dimension
        let blockRowCount = Self.blockRowCount(dimension: dimension)
        var block = try newBlock(rows: blockRowCount, columns: dimension)
        for first in stride(from: 0, to: dimension, by: blockRowCount) {
            let rows = first..<min(dimension, first + blockRowCount)
            try readRows(4 * rows.count * dimension, of: name.name, at: 4 * first * dimension, into: &block)
            do throws(LinearAlgebraError) { try matrix.packRows(rows, from: block) } catch {
                throw .linearAlgebra(file: directory, error)
            }
        }
        return matrix
    }

    private static func blockRowCount(dimension: Int) -> Int {
        max(1, min(dimension, blockByteCount / max(1, dimension * ElementType.f32.byteCount)))
    }

    private func writer(named name: String) throws(JobFileError) -> SafetensorsWriter {
        do throws(SafetensorsError) { return try writer.writer(of: name) } catch { throw .safetensors(error) }
    }

    private func isSquare(_ shape: SymmetricShape) -> Bool { storage == .full && !shape.isDiagonal }

    /// Writes one matrix.
    ///
    /// - Parameters:
    ///   - matrix: a matrix of the announced shape; not kept.
    ///   - name: the name of an entry.
    /// - Throws: ``JobFileError``; the matrix may be partly written, and then the set cannot be finished.
    public func write(
        _ matrix: borrowing PackedSymmetricMatrix<Float>,
        to name: CurvatureTensorName
    ) throws(JobFileError) {
        if isSquare(matrix.shape) {
            try write(matrix, mirroredTo: name.name, comparing: false)
        } else {
            try write(matrix, packedTo: name.name)
        }
    }

    /// What the files of a staged set held when they were finished.
    public var finished: [SafetensorsWriter.Finished] { writer.finished }

    /// Publishes the set.
    ///
    /// - Throws: ``JobFileError``, with every missing matrix; no file has appeared then.
    public func finish() throws(JobFileError) {
        try wrapping { () throws(SafetensorsError) in try writer.finish() }
    }

    private func write(
        _ matrix: borrowing PackedSymmetricMatrix<Float>,
        packedTo name: String
    ) throws(JobFileError) {
        do throws(SafetensorsError) {
            try matrix.withBytes { (bytes: RawSpan) throws(SafetensorsError) in try writer.write(bytes, to: name) }
        } catch { throw .safetensors(error) }
    }

    private func write(
        _ matrix: borrowing PackedSymmetricMatrix<Float>,
        mirroredTo name: String,
        comparing isCompared: Bool
    ) throws(JobFileError) {
        let dimension = matrix.dimension
        let rowByteCount = dimension * ElementType.f32.byteCount
        let blockRowCount = Self.blockRowCount(dimension: dimension)
        var block = try newBlock(rows: blockRowCount, columns: dimension)
        var present = try newBlock(rows: isCompared ? blockRowCount : 1, columns: dimension)
        for first in stride(from: 0, to: dimension, by: blockRowCount) {
            let rows = first..<min(dimension, first + blockRowCount)
            try mirror(matrix, rows, into: &block)
            let (offset, byteCount) = (first * rowByteCount, rows.count * rowByteCount)
            if isCompared {
                try readRows(byteCount, of: name, at: offset, into: &present)
                if block.hasSamePrefix(rows.count * dimension, as: present) {
                    let writer = try writer(named: name)
                    try wrapping { () throws(SafetensorsError) in
                        try writer.noteWritten(name, at: offset, count: byteCount)
                    }
                    continue
                }
            }
            try write(block, byteCount: byteCount, to: name, at: offset)
        }
    }

    /// Reads rows of a square of a staged set, as far as they go.
    private func readRows(
        _ byteCount: Int, of name: String, at offset: Int, into block: inout Matrix<Float>
    ) throws(JobFileError) {
        let file = try writer(named: name)
        do throws(SafetensorsError) {
            try block.withMutableBytes { (bytes: inout MutableRawSpan) throws(SafetensorsError) in
                var target = bytes._mutatingExtracting(first: byteCount)
                try file.read(name, at: offset, into: &target)
            }
        } catch { throw .safetensors(error) }
    }

    private func newBlock(rows: Int, columns: Int) throws(JobFileError) -> Matrix<Float> {
        do throws(LinearAlgebraError) { return try Matrix<Float>(rows: rows, columns: columns) } catch {
            throw .linearAlgebra(file: directory, error)
        }
    }

    private func mirror(
        _ matrix: borrowing PackedSymmetricMatrix<Float>,
        _ rows: Range<Int>,
        into block: inout Matrix<Float>
    ) throws(JobFileError) {
        do throws(LinearAlgebraError) {
            try block.withMutableSpan { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
                var wanted = span._mutatingExtracting(first: rows.count * matrix.dimension)
                try matrix.unpackRows(rows, into: &wanted)
            }
        } catch { throw .linearAlgebra(file: directory, error) }
    }

    private func write(
        _ block: borrowing Matrix<Float>,
        byteCount: Int,
        to name: String,
        at byteOffset: Int
    ) throws(JobFileError) {
        do throws(SafetensorsError) {
            try block.withBytes { (bytes: RawSpan) throws(SafetensorsError) in
                try writer.write(bytes.extracting(first: byteCount), to: name, at: byteOffset)
            }
        } catch { throw .safetensors(error) }
    }
}
