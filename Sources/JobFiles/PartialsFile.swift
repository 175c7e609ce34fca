import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage

/// One file of partial sums, with checked metadata, names and shapes.
struct PartialsFile {
    typealias Entry = PartialsHeader.Entry

    let file: SafetensorsFile
    private let header: PartialsHeader

    var metadata: PartialsMetadata { header.metadata }
    /// The sums, sorted by name.
    var entries: [Entry] { header.entries }
    /// The tensors of joint rows, sorted by name; none unless the metadata states them.
    var jointEntries: [JointEntry] { header.jointEntries }
    /// What is wrong in the file itself, besides what made the initializer throw.
    var flaws: [PartialsFlaw] { header.flaws }

    /// Checks an open file.
    ///
    /// - Throws: ``JobFileError``: all problems of its tensors and metadata.
    init(_ file: SafetensorsFile) throws(JobFileError) {
        self.file = file
        header = try PartialsHeader(file.header, of: file.path)
    }
}

/// What the header of a file of partial sums says, checked.
struct PartialsHeader {
    /// A sum of the file.
    struct Entry {
        let name: CurvatureTensorName
        let shape: SymmetricShape
        let elementType: ElementType
        /// The sum's bytes, from the start of the file.
        let fileRange: Range<Int>
    }

    let metadata: PartialsMetadata
    /// The sums, sorted by name.
    let entries: [Entry]
    /// The tensors of joint rows, sorted by name; none unless the metadata states them.
    let jointEntries: [JointEntry]
    /// What is wrong in the file itself, besides what made the initializer throw.
    let flaws: [PartialsFlaw]

    /// Checks the header of a file, which may not be written yet.
    ///
    /// - Throws: ``JobFileError``: all problems of its tensors and metadata.
    init(_ header: SafetensorsHeader, of path: FilePath) throws(JobFileError) {
        let (entries, jointEntries, problems) = Self.entries(of: header, path)
        let metadata: PartialsMetadata
        do throws(JobFileError) {
            metadata = try PartialsMetadata(parsing: header.metadata, file: path)
        } catch {
            // Of a file of another kind, no tensor would fit either.
            if case .wrongFormat = error { throw error }
            throw JobFileError.bundle([error] + problems) ?? error
        }
        if let error = JobFileError.bundle(problems) { throw error }
        self.metadata = metadata
        self.entries = entries
        self.jointEntries = jointEntries
        let flaws = Self.flaws(metadata, entries)
        let joint = metadata.jointRows.map { PartialsJointRows(entries, jointEntries, $0, metadata).flaws } ?? []
        // The checks of joint rows count with the numbers of the metadata.
        self.flaws = flaws.isEmpty ? joint : flaws
    }

    private static func entries(
        of header: SafetensorsHeader, _ path: FilePath
    ) -> (entries: [Entry], jointEntries: [JointEntry], problems: [JobFileError]) {
        var problems: [JobFileError] = []
        var entries: [Entry] = []
        var jointEntries: [JointEntry] = []
        let hasJointRows = header.metadata[MetadataKey.jointRows] != nil
        // Metadata that cannot be read is reported with its other values.
        let reader = MetadataReader(metadata: header.metadata, file: path)
        let diagonals = (try? reader.diagonals()) ?? []
        entries.reserveCapacity(header.tensors.count)
        for info in header.tensors {
            do throws(JobFileError) {
                if hasJointRows, let name = JointTensorName(info.name) {
                    jointEntries.append(try JointEntry(name, info, after: header.dataOffset, of: path))
                } else {
                    entries.append(try entry(info, after: header.dataOffset, of: path, diagonals))
                }
            } catch {
                problems.append(error)
            }
        }
        // A side of a wrong shape or type is a problem already.
        let names = Set(header.tensors.compactMap { CurvatureTensorName($0.name) })
        for entry in entries {
            guard let partner = entry.name.partner, !names.contains(partner) else { continue }
            problems.append(.missingTensor(file: path, tensor: partner.name))
        }
        return (
            entries.sorted { $0.name.name < $1.name.name },
            jointEntries.sorted { $0.name.description < $1.name.description }, problems
        )
    }

    private static func entry(
        _ info: TensorInfo, after dataOffset: Int, of path: FilePath, _ diagonals: Set<CurvatureTensorName>
    ) throws(JobFileError) -> Entry {
        guard let name = CurvatureTensorName(info.name), !name.isInverse else {
            throw .unknownTensor(file: path, tensor: info.name, kind: .partials)
        }
        guard [.float32, .float64].contains(info.dataType), let type = ElementType(rawValue: info.dataType.rawValue)
        else { throw .dataType(file: path, tensor: info.name, found: info.dataType, expected: "F32 or F64") }
        // A sparse file can claim any size. Below this limit one row fits in a buffer on any machine.
        let isDiagonal = diagonals.contains(name)
        guard let shape = CurvatureStorage.packed.symmetricShape(of: info.shape, isDiagonal: isDiagonal) else {
            let expected =
                isDiagonal
                ? "a vector [n], since \"\(MetadataKey.diagonal)\" names it"
                : "a packed triangle [n(n + 1)/2]; a diagonal [n] is stated by \"\(MetadataKey.diagonal)\""
            throw .shape(file: path, tensor: info.name, shape: info.shape, expected: expected)
        }
        let start = dataOffset + info.byteRange.lowerBound
        return Entry(
            name: name, shape: shape, elementType: type, fileRange: start..<start + info.byteCount)
    }

    private static func flaws(_ metadata: PartialsMetadata, _ entries: [Entry]) -> [PartialsFlaw] {
        guard !entries.isEmpty else { return [.empty] }
        let layers = Set(entries.lazy.filter { $0.name.side != .full }.map(\.name.owner))
        let all = Set(entries.lazy.map(\.name.owner))
        var flaws = [
            flaw(in: MetadataKey.rows, metadata.rowCounts, of: layers),
            flaw(in: MetadataKey.samples, metadata.sampleCounts, of: all),
            flaw(in: MetadataKey.bias, Set(metadata.hasBias.keys), of: layers),
            // A layer without an entry has the default.
            flaw(in: MetadataKey.layout, Set(metadata.layouts.keys).union(layers), of: layers),
            flaw(in: MetadataKey.exactTrace, Set(metadata.exactTraces.keys).union(layers), of: layers),
            flaw(in: MetadataKey.diagonal, Set(metadata.diagonals.map(\.owner)).union(layers), of: layers),
        ].compactMap(\.self)
        guard flaws.isEmpty else { return flaws }
        for layer in layers.sorted() {
            guard let rows = metadata.rowCounts?[layer], rows > 0, metadata.sampleCounts[layer] == 0 else { continue }
            flaws.append(.rowsWithoutSamples(layer: layer, rows: rows))
        }
        return flaws
    }

    private static func flaw(
        in key: String, _ counts: OwnerCounts?, of expected: Set<String>
    ) -> PartialsFlaw? {
        switch counts {
        case .all: nil
        case .each(let counts): flaw(in: key, Set(counts.keys), of: expected)
        case nil: flaw(in: key, [], of: expected)
        }
    }

    private static func flaw(in key: String, _ found: Set<String>, of expected: Set<String>) -> PartialsFlaw? {
        guard found != expected else { return nil }
        return .owners(
            key: key, missing: expected.subtracting(found).sorted(), unknown: found.subtracting(expected).sorted())
    }
}

extension CurvatureTensorName {
    /// The other side of a layer; nil for a parameter's F.
    fileprivate var partner: CurvatureTensorName? {
        switch side {
        case .input: CurvatureTensorName(owner: owner, side: .gradient, isInverse: isInverse)
        case .gradient: CurvatureTensorName(owner: owner, side: .input, isInverse: isInverse)
        case .full: nil
        }
    }
}
