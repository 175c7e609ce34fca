public import Hashing
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
    /// The matrices that are written as bytes of a compressed form.
    private let compressed: Set<CurvatureTensorName>

    /// Bytes of full rows that are mirrored at a time.
    ///
    /// They and the packed matrix are all the memory in use.
    private static let blockByteCount = 8 << 20

    /// A matrix to write.
    public struct Entry: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// The matrix's rows and columns, and whether only its diagonal is written.
        public let shape: SymmetricShape
        /// The form in which it is written; nil for its elements as they are.
        ///
        /// A diagonal has none.
        public let form: CompressedForm?

        /// Announces a matrix.
        public init(_ name: CurvatureTensorName, shape: SymmetricShape, form: CompressedForm? = nil) {
            self.name = name
            self.shape = shape
            self.form = shape.isDiagonal ? nil : form
        }

        /// The tensor that will hold the matrix.
        func tensor(_ storage: CurvatureStorage) -> TensorDescription {
            guard let form else {
                return TensorDescription(
                    name: name.name, dataType: .float32, shape: storage.tensorShape(of: shape))
            }
            let tensor = FactorCompression.tensor(of: form, dimension: shape.dimension)
            return TensorDescription(
                name: name.name, dataType: TensorDataType(rawValue: tensor.type) ?? .uint8, shape: tensor.shape)
        }

        /// Announces a matrix with all its elements.
        public init(_ name: CurvatureTensorName, dimension: Int) { self.init(name, shape: .full(dimension)) }
    }

    /// Joint rows, or numbers about them: a tensor of F32 of any shape.
    public struct Rows: Equatable, Sendable {
        /// The tensor's name.
        public let name: String
        /// Its shape, outermost first.
        public let shape: [Int]

        /// Announces a tensor.
        public init(_ name: String, shape: [Int]) {
            self.name = name
            self.shape = shape
        }
    }

    /// Begins a set.
    ///
    /// - Parameters:
    ///   - directory: an existing directory.
    ///   - kind: factors, regularizer or inverses; it determines the file's name.
    ///   - entries: all matrices, in the order of the file.
    ///   - rows: the tensors behind them.
    ///   - metadata: the kind's strings; the storage and the names of diagonals are added to them. They state the
    ///     compressed matrices.
    ///   - draft: for a staged set, the strings until it is finished, of at least the same length.
    ///   - storage: full squares, or packed triangles of half the size; diagonals are vectors in both.
    ///   - shardByteLimit: bytes of matrices in one file.
    /// - Throws: ``JobFileError``; nothing is left behind but a staged set.
    public init(
        directory: FilePath,
        kind: JobFileKind,
        entries: [Entry],
        rows: [Rows] = [],
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
            tensors.append(entry.tensor(storage))
        }
        tensors += rows.map { TensorDescription(name: $0.name, dataType: .float32, shape: $0.shape) }
        let layout = ShardLayout(tensors: tensors, stem: kind.stem, shardByteLimit: shardByteLimit)
        var common = [MetadataKey.storage: storage.rawValue]
        common[MetadataKey.diagonal] = Set(entries.filter(\.shape.isDiagonal).map(\.name)).metadataText
        let strings = metadata.merging(common) { $1 }
        self.directory = directory
        self.storage = storage
        self.compressed = Set(entries.lazy.filter { $0.form != nil }.map(\.name))
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
        return Place(file: file, offset: offset, squareRows: isSquare(shape, name) ? shape.dimension : nil)
    }

    /// The place of a tensor of rows; nil unless the set is staged.
    ///
    /// - Throws: ``JobFileError`` for an unknown name.
    public func place(ofRows name: String) throws(JobFileError) -> Place? {
        let writer = try writer(named: name)
        guard let file = writer.stagedIdentity, let offset = writer.fileOffset(of: name) else { return nil }
        return Place(file: file, offset: offset, squareRows: nil)
    }

    /// Takes a tensor of a staged set as written, because another process has written it.
    ///
    /// - Parameters:
    ///   - name: the name of an announced tensor.
    ///   - checksum: of the bytes in its place; ``prove()`` compares it.
    /// - Throws: ``JobFileError``.
    public func noteWritten(_ name: String, _ checksum: Checksum) throws(JobFileError) {
        let writer = try writer(named: name)
        try wrapping { () throws(SafetensorsError) in try writer.noteWritten(name, checksum) }
    }

    /// Reads a staged set once, and compares the matrices that other processes have written with their checksums.
    ///
    /// - Returns: The names of the tensors that differ. They count as not written.
    /// - Throws: ``JobFileError``, with every missing matrix.
    public func prove() throws(JobFileError) -> [String] {
        do throws(SafetensorsError) { return try writer.prove() } catch { throw .safetensors(error) }
    }

    private func writer(named name: String) throws(JobFileError) -> SafetensorsWriter {
        do throws(SafetensorsError) { return try writer.writer(of: name) } catch { throw .safetensors(error) }
    }

    private func isSquare(_ shape: SymmetricShape, _ name: CurvatureTensorName) -> Bool {
        storage == .full && !shape.isDiagonal && !compressed.contains(name)
    }

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
        if isSquare(matrix.shape, name) {
            try write(matrix, mirroredTo: name.name)
        } else {
            try write(matrix, packedTo: name.name)
        }
    }

    /// Writes the bytes of one compressed matrix.
    ///
    /// - Parameters:
    ///   - bytes: of the announced form.
    ///   - name: the name of an entry with a form.
    /// - Throws: ``JobFileError``; the matrix may be partly written, and then the set cannot be finished.
    public func write(compressed bytes: RawSpan, to name: CurvatureTensorName) throws(JobFileError) {
        do throws(SafetensorsError) { try writer.write(bytes, to: name.name) } catch { throw .safetensors(error) }
    }

    /// Writes the next bytes of a tensor of rows.
    ///
    /// - Parameters:
    ///   - bytes: F32 elements.
    ///   - name: the name of an announced tensor.
    ///   - offset: the first byte of them in the tensor.
    /// - Throws: ``JobFileError``; the tensor may be partly written, and then the set cannot be finished.
    public func write(rows bytes: RawSpan, to name: String, at offset: Int = 0) throws(JobFileError) {
        do throws(SafetensorsError) { try writer.write(bytes, to: name, at: offset) } catch {
            throw .safetensors(error)
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
        mirroredTo name: String
    ) throws(JobFileError) {
        var block = try newBlock(dimension: matrix.dimension)
        for rows in block.parts {
            do throws(LinearAlgebraError) { try block.fill(rows, of: matrix) } catch {
                throw .linearAlgebra(file: directory, error)
            }
            do throws(SafetensorsError) {
                try block.withBytes(of: rows) { (bytes: RawSpan, offset: Int) throws(SafetensorsError) in
                    try writer.write(bytes, to: name, at: offset)
                }
            } catch { throw .safetensors(error) }
        }
    }

    private func newBlock(dimension: Int) throws(JobFileError) -> SquareRows {
        do throws(LinearAlgebraError) {
            return try SquareRows(dimension: dimension, byteCountMax: Self.blockByteCount)
        } catch { throw .linearAlgebra(file: directory, error) }
    }
}
