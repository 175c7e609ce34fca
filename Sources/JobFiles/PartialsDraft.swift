public import Identifiers
import JSONText
import LinearAlgebra
import Safetensors
public import SystemPackage

/// A file of partial sums of which the rows are still coming: its sums and its metadata, without counts.
///
/// It is checked as the file will be, before the first row comes.
public struct PartialsDraft: Sendable {
    /// A sum of rows.
    public struct Sum: Sendable {
        /// The tensors of the file that are this sum.
        public let names: [CurvatureTensorName]
        /// Elements of a row, without the one of a bias.
        public let columns: Int
        /// Whether a one is appended to each row.
        public let appendsOne: Bool
        /// Whether the file has only the diagonal.
        public let isDiagonal: Bool

        var shape: SymmetricShape {
            SymmetricShape(dimension: columns + (appendsOne ? 1 : 0), isDiagonal: isDiagonal)
        }
    }

    /// The keys that the sender states at first.
    public static let firstKeys: Set<String> = [
        MetadataKey.task, MetadataKey.probes, MetadataKey.normalization, MetadataKey.bias, MetadataKey.layout,
        MetadataKey.diagonal, MetadataKey.baseDigest,
    ]
    /// The keys that the sender states when all rows are sent.
    public static let lastKeys: Set<String> = [MetadataKey.samples, MetadataKey.rows, MetadataKey.exactTrace]

    /// Room for counts, which are not known at first.
    private static let bytesOfCounts = 64

    /// The sums, in the order of the sender.
    public let sums: [Sum]
    /// The largest size that the file can have.
    public let byteCount: UInt64
    private let file: FilePath
    private let strings: [String: String]
    private let metadata: PartialsMetadata

    /// Checks what a sender announces.
    ///
    /// - Parameters:
    ///   - sums: Tensor names, and the columns of a row without the one of a bias.
    ///   - metadata: The values of ``firstKeys``.
    ///   - run: The run.
    ///   - place: Rank and sequence.
    ///   - file: The sender's name for it, for messages.
    /// - Throws: ``JobFileError``: all problems.
    public init(
        of sums: [(tensors: [String], columns: Int)], metadata: [String: String], run: RunName, place: PartialsPlace,
        file: FilePath
    ) throws(JobFileError) {
        try Self.refuse(metadata, beyond: Self.firstKeys, file)
        var problems: [JobFileError] = []
        let reader = MetadataReader(metadata: metadata, file: file)
        let hasBias = try reader.object(MetadataKey.bias, "an object of true and false", \.boolValue) ?? [:]
        let diagonals = try reader.diagonals()
        self.sums = sums.compactMap { tensors, columns in
            let names = tensors.compactMap(CurvatureTensorName.init)
            for tensor in tensors where CurvatureTensorName(tensor)?.isInverse != false {
                problems.append(.unknownTensor(file: file, tensor: tensor, kind: .partials))
            }
            guard let first = names.first, columns > 0 else {
                problems.append(.draft(file: file, tensor: tensors.first ?? "", .empty))
                return nil
            }
            let sum = Sum(
                names: names, columns: columns, appendsOne: first.appendsOne(hasBias),
                isDiagonal: diagonals.contains(first))
            // One sum has one shape, and the counts of one kind of rows.
            let isUniform = names.allSatisfy {
                $0.appendsOne(hasBias) == sum.appendsOne && diagonals.contains($0) == sum.isDiagonal
                    && $0.side == first.side
            }
            if !isUniform { problems.append(.draft(file: file, tensor: first.name, .mixed)) }
            return sum
        }
        if let error = JobFileError.bundle(problems) { throw error }
        var strings = metadata
        strings[MetadataKey.format] = FormatVersion.partials.description
        strings[MetadataKey.run] = run.rawValue
        strings[MetadataKey.processRank] = String(place.rank)
        strings[MetadataKey.sequence] = String(place.sequence)
        self.strings = strings
        self.file = file
        // The counts are not known yet: every owner has some.
        let owners = Set(self.sums.flatMap { $0.names.map(\.owner) })
        let layers = Set(self.sums.flatMap { $0.names.filter { $0.side != .full }.map(\.owner) })
        strings[MetadataKey.samples] = Self.text(owners, 1)
        if !layers.isEmpty {
            strings[MetadataKey.rows] = Self.text(layers, 1)
            strings[MetadataKey.exactTrace] = Self.text(layers, 1)
        }
        let (checked, byteCount) = try Self.checked(self.sums, strings, file)
        self.metadata = checked
        self.byteCount = UInt64(byteCount + Self.bytesOfCounts * (owners.count + 1))
    }

    /// The tensors of the file with their shapes.
    public var entries: [PartialsWriter.Entry] {
        sums.flatMap { sum in sum.names.map { PartialsWriter.Entry($0, shape: sum.shape) } }
            .sorted { $0.name.name < $1.name.name }
    }

    // MARK: - Counts

    /// The metadata of the file, when all rows have come.
    ///
    /// Rows of a layer's input and gradient must agree, unless the sum is a diagonal, whose rows may stand for others.
    ///
    /// - Parameters:
    ///   - rows: The rows that came, by sum.
    ///   - committed: The values of ``lastKeys``. `rows` is needed for `reduce`; else it is what came.
    /// - Returns: The metadata with the counts.
    /// - Throws: ``JobFileError``: all problems.
    public func metadata(rows: [UInt64], committed: [String: String]) throws(JobFileError) -> PartialsMetadata {
        try Self.refuse(committed, beyond: Self.lastKeys, file)
        var strings = strings.merging(committed) { $1 }
        var came: [CurvatureTensorName: UInt64] = [:]
        for (sum, count) in zip(sums, rows) { for name in sum.names { came[name] = count } }
        let layers = Set(came.keys.filter { $0.side != .full }.map(\.owner))
        let reduces = metadata.normalization == "reduce"
        if strings[MetadataKey.rows] == nil, !layers.isEmpty {
            guard !reduces else {
                throw .metadataMissing(
                    file: file, key: MetadataKey.rows,
                    expected: "the rows before their reduction: a whole number, or an object of such numbers")
            }
            let counts = layers.map { ($0, came[CurvatureTensorName(owner: $0, side: .input)] ?? 0) }
            strings[MetadataKey.rows] =
                JSONValue.sortedObject(Dictionary(uniqueKeysWithValues: counts)) { .number(String($0)) }.text()
        }
        let final = try Self.checked(sums, strings, file).metadata
        var problems: [JobFileError] = []
        for sum in sums where !sum.isDiagonal {
            for name in sum.names {
                guard let flaw = countFlaw(of: name, came, final) else { continue }
                problems.append(.draft(file: file, tensor: name.name, flaw))
            }
        }
        if let error = JobFileError.bundle(problems) { throw error }
        return final
    }

    /// Compares the rows of a sum that came with the counts.
    ///
    /// Under `reduce` a sample without rows in the layer has no row, so fewer than the samples may come; but then the
    /// gradient has none of it either.
    private func countFlaw(
        of name: CurvatureTensorName, _ came: [CurvatureTensorName: UInt64], _ final: PartialsMetadata
    ) -> DraftFlaw? {
        let found = came[name] ?? 0
        let samples = final.sampleCounts[name.owner] ?? 0
        var base = name.side == .full ? samples : final.rowCounts?[name.owner] ?? 0
        if name.side != .full, metadata.normalization == "reduce" {
            let input = CurvatureTensorName(owner: name.owner, side: .input)
            let reduced = metadata.diagonals.contains(input) ? found / UInt64(final.probeCount) : came[input] ?? 0
            base = Int(clamping: min(reduced, UInt64(samples)))
        }
        let (expected, overflow) = base.multipliedReportingOverflow(by: name.side == .input ? 1 : final.probeCount)
        guard overflow || UInt64(exactly: expected) != found else { return nil }
        return .rows(found: found, expected: overflow ? .max : expected)
    }

    // MARK: -

    /// Checks the header that the file would have.
    private static func checked(
        _ sums: [Sum], _ strings: [String: String], _ file: FilePath
    ) throws(JobFileError) -> (metadata: PartialsMetadata, byteCount: Int) {
        var tensors: [TensorDescription] = []
        for sum in sums {
            for name in sum.names {
                _ = try wrapping(file) { () throws(LinearAlgebraError) in try sum.shape.elementCount() }
                tensors.append(
                    TensorDescription(
                        name: name.name, dataType: .float64, shape: CurvatureStorage.packed.tensorShape(of: sum.shape)))
            }
        }
        let header = try wrapping { () throws(SafetensorsError) in
            try SafetensorsHeader(describing: tensors, metadata: strings, file: file)
        }
        let checked = try PartialsHeader(header, of: file)
        let problems = PartialsProblem.grouped(checked.flaws.map { (file, $0) }).map(JobFileError.partials)
        if let error = JobFileError.bundle(problems) { throw error }
        return (checked.metadata, header.dataOffset + header.dataByteCount)
    }

    private static func refuse(
        _ metadata: [String: String], beyond known: Set<String>, _ file: FilePath
    ) throws(JobFileError) {
        let unknown = metadata.keys.filter { !known.contains($0) }.sorted()
        guard let first = unknown.first else { return }
        throw .metadataInvalid(
            file: file, key: first, text: metadata[first] ?? "",
            expected: "only \(known.sorted().map { "\"\($0)\"" }.listed())")
    }

    private static func text(_ owners: Set<String>, _ count: Int) -> String {
        let counts = Dictionary(uniqueKeysWithValues: owners.map { ($0, count) })
        return JSONValue.sortedObject(counts) { .number(String($0)) }.text()
    }
}

/// What is wrong with a sum whose rows are announced or have come.
public enum DraftFlaw: Equatable, Sendable, CustomStringConvertible {
    /// It has no tensor or no columns.
    case empty
    /// Its tensors differ in side, bias or diagonal.
    case mixed
    /// Another number of rows came.
    case rows(found: UInt64, expected: Int)

    /// What is wrong, what was expected, and what to do.
    public var description: String {
        switch self {
        case .empty: "the sum has no tensor or no columns; expected the names of its tensors and the size of a row."
        case .mixed:
            "the tensors of the sum differ in side, bias or diagonal; expected tensors that are equal in the file. Send them "
                + "as sums of their own."
        case .rows(let found, let expected):
            "\(found) rows came; expected \(expected), by the rows, samples and probes of the metadata. Send the sequence "
                + "again with all of its rows and the right counts."
        }
    }
}

extension CurvatureTensorName {
    fileprivate func appendsOne(_ hasBias: [String: Bool]) -> Bool { side == .input && hasBias[owner] == true }
}
