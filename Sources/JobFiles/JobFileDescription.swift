public import Identifiers
import LinearAlgebra
public import Safetensors
public import SystemPackage

/// The content of a file for `kfacctl inspect`, read from headers only.
public struct JobFileDescription: Equatable, Sendable {
    /// The tensors of one layer or parameter.
    public struct Group: Equatable, Sendable {
        /// Layer, parameter, or module of a checkpoint.
        public let name: String
        /// Its tensors in the order of the files; none for a layer without rows that the metadata states.
        public let tensors: [TensorDescription]
        /// N, if the kind of file states it.
        public let sampleCount: Int?
        /// The layer's input rows, if the kind of file states them.
        public let rowCount: Int?
    }

    /// The kind, from `format` or else from the tensors' names.
    public let kind: JobFileKind
    /// The files and their sizes in bytes.
    public let files: [(path: FilePath, byteCount: Int)]
    /// The tensors by layer or parameter, in the order of the first tensor of each.
    public let groups: [Group]
    /// The number of tensors of each element type.
    public let tensorCounts: [TensorDataType: Int]
    /// The number of elements of all tensors.
    public let elementCount: Int
    /// The metadata of all files; for a key that two files set, the first file counts.
    public let metadata: [String: String]

    /// The layouts that a file of rows, factors or a regularizer declares, by layer.
    ///
    /// There are none for other kinds, and for a malformed value.
    public var layouts: [String: WeightLayout] {
        guard [.capture, .partials, .factors, .regularizer].contains(kind) else { return [:] }
        return (try? reader.layouts()) ?? [:]
    }

    /// The names of the tensors that hold a factor's diagonal, or the rows of which only the diagonal is made.
    ///
    /// There are none in a checkpoint, and for a malformed value.
    public var diagonals: Set<String> {
        guard kind != .checkpoint, let stated = try? reader.diagonals() else { return [] }
        return Set(
            stated.map { factor in
                guard kind != .capture else {
                    return factor.owner + (factor.side == .input ? ".input" : ".output_grad")
                }
                return CurvatureTensorName(owner: factor.owner, side: factor.side, isInverse: kind == .inverses).name
            }
        ).union(kind == .capture ? indices : [])
    }

    /// The captured inputs that are indices, of which A is a diagonal.
    private var indices: [String] {
        groups.flatMap(\.tensors).filter {
            $0.name.hasSuffix(".input") && IndexType(rawValue: $0.dataType.rawValue) != nil
        }.map(\.name)
    }

    /// The layers whose factors a factor set holds as one sum, by the name of the sum; none for a malformed value.
    public var uses: [String: [String]] {
        guard kind == .factors else { return [:] }
        return (try? FactorsMetadata(parsing: metadata, file: files.first?.path ?? ""))?.uses ?? [:]
    }

    /// The compressed matrices, by the names of their tensors; none for a malformed value.
    public var compressions: [String: FactorCompression] {
        guard kind == .factors || kind == .regularizer else { return [:] }
        return (try? reader.compressions()) ?? [:]
    }

    private var reader: MetadataReader { MetadataReader(metadata: metadata, file: files.first?.path ?? "") }

    /// Describes a file or a directory.
    ///
    /// - Throws: ``JobFileError/safetensors(_:)`` if the path is not a whole safetensors set.
    public init(of path: FilePath) throws(JobFileError) {
        self.init(of: try wrapping { () throws(SafetensorsError) in try SafetensorsSet(opening: path) })
    }

    /// Describes an open set.
    public init(of set: SafetensorsSet) {
        let tensors = set.tensors
        let kind = Self.kind(of: set)
        self.kind = kind
        self.files = set.files.map { ($0.path, $0.identity.byteCount) }
        self.metadata = set.metadata
        var order: [String] = []
        var members: [String: [TensorDescription]] = [:]
        for tensor in tensors {
            let owner = Self.owner(of: tensor.name, kind)
            if members[owner] == nil { order.append(owner) }
            members[owner, default: []].append(tensor)
        }
        let counts = Counts(of: set, kind)
        for owner in counts.emptyOwners where members[owner] == nil { order.append(owner) }
        self.groups = order.map { name in
            Group(
                name: name, tensors: members[name] ?? [], sampleCount: counts.samples(of: name),
                rowCount: counts.rows(of: name, members[name] ?? []))
        }
        self.tensorCounts = tensors.reduce(into: [:]) { $0[$1.dataType, default: 0] += 1 }
        // Every tensor fits in a file, and the files fit in 63 bits. Sub-byte elements at most quadruple that count.
        self.elementCount = tensors.reduce(0) { $0 &+ ($1.elementCount ?? 0) }
    }

    /// Whether both describe the same content at the same paths.
    public static func == (left: JobFileDescription, right: JobFileDescription) -> Bool {
        left.kind == right.kind && left.groups == right.groups && left.metadata == right.metadata
            && left.files.elementsEqual(right.files) { $0.path == $1.path && $0.byteCount == $1.byteCount }
    }

    private static func kind(of set: SafetensorsSet) -> JobFileKind {
        // The name of the format is enough to tell the kind; the version does not matter.
        if let format = set.metadata[MetadataKey.format].flatMap({ FormatVersion($0) }),
            let kind = JobFileKind.allCases.first(where: { $0.format?.name == format.name })
        {
            return kind
        }
        let names = set.tensors.map(\.name)
        guard !names.isEmpty else { return .checkpoint }
        if names.allSatisfy({ CaptureTensorName($0) != nil }) { return .capture }
        let curvature = names.compactMap { CurvatureTensorName($0) }
        guard curvature.count == names.count else { return .checkpoint }
        return curvature.allSatisfy(\.isInverse) ? .inverses : .factors
    }

    /// The counts that a file states; unreadable metadata states none, and is shown as it is.
    private struct Counts {
        private let capture: CaptureMetadata?
        private let factors: FactorsMetadata?
        private let partials: PartialsMetadata?

        init(of set: SafetensorsSet, _ kind: JobFileKind) {
            capture = kind == .capture ? try? CaptureMetadata(parsing: set.metadata, file: set.path) : nil
            factors = kind == .factors ? try? FactorsMetadata(parsing: set.metadata, file: set.path) : nil
            partials = kind == .partials ? try? PartialsMetadata(parsing: set.metadata, file: set.path) : nil
        }

        /// The layers and parameters that the metadata states to have no rows, sorted.
        var emptyOwners: [String] {
            let counts =
                if case .each(let rows)? = factors?.rowCounts { rows } else { capture?.layerSampleCounts ?? [:] }
            return counts.filter { $0.value == 0 }.keys.sorted()
        }

        func samples(of owner: String) -> Int? {
            capture?.sampleCount(of: owner) ?? (factors?.sampleCounts ?? partials?.sampleCounts)?[owner]
        }

        func rows(of owner: String, _ tensors: [TensorDescription]) -> Int? {
            if capture != nil {
                let input = tensors.first { $0.name == "\(owner).input" }
                return tensors.isEmpty ? 0 : input?.shape.first
            }
            let hasSides = !tensors.contains { $0.name == "\(owner).F" }
            return hasSides ? (factors?.rowCounts ?? partials?.rowCounts)?[owner] : nil
        }
    }

    private static func owner(of name: String, _ kind: JobFileKind) -> String {
        if kind == .capture { return CaptureTensorName(name)?.owner ?? name }
        if kind != .checkpoint { return CurvatureTensorName(name)?.owner ?? JointTensorName(name)?.owner ?? name }
        let suffix = [".weight", ".bias"].first { name.hasSuffix($0) && name.count > $0.count }
        return suffix.map { String(name.dropLast($0.count)) } ?? name
    }
}
