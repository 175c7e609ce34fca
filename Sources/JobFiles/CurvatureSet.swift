public import FileAccess
public import Identifiers
public import LinearAlgebra
public import Safetensors
public import SystemPackage

/// An open factor, regularizer or inverse file, or a sharded set of them.
///
/// Shapes and types are checked when the set is opened. Values are checked when a matrix is read: for NaN and infinity,
/// for symmetry of every element, and for negative eigenvalues.
public final class CurvatureSet: Sendable {
    /// A matrix of the set.
    public struct Entry: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// The matrix's rows and columns, and whether only its diagonal is stored.
        public let shape: SymmetricShape
        /// F32 or F64; of no meaning for a compressed matrix.
        public let elementType: ElementType
        /// Full square or packed triangle; of no meaning for a diagonal.
        public let storage: CurvatureStorage
        /// How the matrix is compressed, and what it lost; nil if its elements are stored as they are.
        public let compression: FactorCompression?
        /// The file that holds the matrix.
        public let file: FilePath
        /// The matrix's bytes, from the start of the file.
        public let fileRange: Range<Int>

        /// Number of rows, equal to the number of columns.
        public var dimension: Int { shape.dimension }
    }

    /// The kind as which the set was opened.
    public let kind: JobFileKind
    /// The underlying tensors.
    public let tensors: SafetensorsSet
    /// The matrices in the order of the files.
    public let entries: [Entry]
    /// The tensors of joint rows; none unless a factor set's metadata states them.
    public let jointEntries: [JointEntry]
    private let positions: [CurvatureTensorName: Int]

    /// Opens a file or a directory and checks every tensor's name, shape and type.
    ///
    /// - Parameters:
    ///   - path: A file or a directory.
    ///   - kind: The expected kind of its matrices.
    ///   - roots: The directories below which files may be read.
    /// - Throws: ``JobFileError``: all problems that were found, as ``JobFileError/several(_:)`` if more than one.
    public init(
        opening path: FilePath, as kind: JobFileKind, within roots: FileRoots = .unlimited
    ) throws(JobFileError) {
        let tensors = try wrapping { () throws(SafetensorsError) in
            try SafetensorsSet(opening: path, within: roots)
        }
        var problems: [JobFileError] = []
        var entries: [Entry] = []
        var jointEntries: [JointEntry] = []
        var names: Set<CurvatureTensorName> = []
        var stated: [(file: FilePath, diagonals: Set<CurvatureTensorName>)] = []
        for file in tensors.files {
            let reader = MetadataReader(metadata: file.header.metadata, file: file.path)
            var diagonals: Set<CurvatureTensorName> = []
            var compressions: [String: FactorCompression] = [:]
            do throws(JobFileError) {
                try reader.requireFormat(kind)
                diagonals = try reader.diagonals()
                stated.append((file.path, diagonals))
                compressions = try reader.compressions()
            } catch { problems.append(error) }
            let hasJointRows = kind == .factors && file.header.metadata[MetadataKey.jointRows] != nil
            for info in file.header.tensors {
                if hasJointRows, let name = JointTensorName(info.name) {
                    do throws(JobFileError) {
                        jointEntries.append(
                            try JointEntry(name, info, after: file.header.dataOffset, of: file.path))
                    } catch {
                        problems.append(error)
                    }
                    continue
                }
                if let name = CurvatureTensorName(info.name) { names.insert(name) }
                do throws(JobFileError) {
                    entries.append(try Self.entry(info, in: file, kind, diagonals, compressions[info.name]))
                } catch { problems.append(error) }
            }
        }
        problems += Self.missingPartners(entries, among: names)
        if problems.isEmpty {
            problems += DeclaredDiagonals(stated, layers: Set(entries.map(\.name.owner))).problems
        }
        if let error = JobFileError.bundle(problems) { throw error }
        self.kind = kind
        self.tensors = tensors
        self.entries = entries
        self.jointEntries = jointEntries
        positions = Dictionary(entries.enumerated().map { ($1.name, $0) }) { first, _ in first }
    }

    /// The layouts that a factor set's files declare, by layer, each with its file.
    ///
    /// - Throws: ``JobFileError`` for a value of another kind, a layer that the set does not hold, or declarations that
    ///   contradict each other.
    public func layouts() throws(JobFileError) -> [String: (layout: WeightLayout, file: FilePath)] {
        var files: [(file: FilePath, layouts: [String: WeightLayout])] = []
        for file in tensors.files {
            files.append((file.path, try MetadataReader(metadata: file.header.metadata, file: file.path).layouts()))
        }
        let layers = Set(entries.filter { $0.name.side != .full }.map(\.name.owner))
        let declared = DeclaredLayouts(files, layers: layers)
        if let error = JobFileError.bundle(declared.problems) { throw error }
        return declared.layouts
    }

    /// The matrix of that name, or nil.
    public subscript(name: CurvatureTensorName) -> Entry? {
        positions[name].map { entries[$0] }
    }

    private static func entry(
        _ info: TensorInfo,
        in file: SafetensorsFile,
        _ kind: JobFileKind,
        _ diagonals: Set<CurvatureTensorName>,
        _ compression: FactorCompression?
    ) throws(JobFileError) -> Entry {
        guard let name = CurvatureTensorName(info.name), name.isInverse == (kind == .inverses) else {
            throw .unknownTensor(file: file.path, tensor: info.name, kind: kind)
        }
        let start = file.header.dataOffset + info.byteRange.lowerBound
        if let compression {
            try requireTensor(of: compression, info, in: file)
            return Entry(
                name: name, shape: .full(compression.dimension), elementType: .f32, storage: .packed,
                compression: compression, file: file.path, fileRange: start..<start + info.byteCount)
        }
        guard [.float32, .float64].contains(info.dataType), let type = ElementType(rawValue: info.dataType.rawValue)
        else { throw .dataType(file: file.path, tensor: info.name, found: info.dataType, expected: "F32 or F64") }
        let isDiagonal = diagonals.contains(CurvatureTensorName(owner: name.owner, side: name.side))
        let storage: CurvatureStorage = info.shape.count == 1 ? .packed : .full
        // A sparse file can claim any size. Below this limit one row fits in a buffer on any machine.
        guard let shape = storage.symmetricShape(of: info.shape, isDiagonal: isDiagonal) else {
            let expected =
                isDiagonal
                ? "a vector [n], since \"\(MetadataKey.diagonal)\" names it"
                : "a square [n, n], or a packed triangle [n(n + 1)/2]; a diagonal [n] is stated by "
                    + "\"\(MetadataKey.diagonal)\""
            throw .shape(file: file.path, tensor: info.name, shape: info.shape, expected: expected)
        }
        return Entry(
            name: name,
            shape: shape,
            elementType: type,
            storage: storage,
            compression: nil,
            file: file.path,
            fileRange: start..<start + info.byteCount
        )
    }

    /// Requires the type and the shape of the tensor that holds a compressed matrix.
    private static func requireTensor(
        of compression: FactorCompression, _ info: TensorInfo, in file: SafetensorsFile
    ) throws(JobFileError) {
        let (type, shape) = compression.tensor
        let form = compression.compression.form.word.rawValue
        let reason = "since \"\(MetadataKey.compression)\" states the form \(form) and the dimension"
        guard info.dataType.rawValue == type else {
            throw .dataType(
                file: file.path, tensor: info.name, found: info.dataType,
                expected: "\(type), \(reason) \(compression.dimension)")
        }
        guard info.shape == shape else {
            throw .shape(
                file: file.path, tensor: info.name, shape: info.shape,
                expected: "\(shape), \(reason) \(compression.dimension)")
        }
    }

    /// A layer needs both sides; a parameter has only F.
    ///
    /// A side of a wrong shape or type is a problem already.
    private static func missingPartners(
        _ entries: [Entry], among names: Set<CurvatureTensorName>
    ) -> [JobFileError] {
        return entries.compactMap { entry in
            let name = entry.name
            guard name.side != .full else { return nil }
            let partner = CurvatureTensorName(
                owner: name.owner,
                side: name.side == .input ? .gradient : .input,
                isInverse: name.isInverse
            )
            return names.contains(partner) ? nil : .missingTensor(file: entry.file, tensor: partner.name)
        }
    }
}
