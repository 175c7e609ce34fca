public import Identifiers
public import LinearAlgebra
public import Safetensors

/// The partial sums of one task: the files of all ranks and flushes of one run.
///
/// Every file holds the same sums, and each rank has the sequences from 0 on. A factor's sum takes the files in the
/// order of (rank, sequence), whatever their names. Source: DESIGN section 3.
public final class PartialsSet: Sendable {
    /// A matrix that is summed over the files.
    public struct Sum: Equatable, Sendable {
        /// The owner and side of the matrix.
        public let name: CurvatureTensorName
        /// The matrix's rows and columns, and whether the files hold its diagonal only.
        public let shape: SymmetricShape
        /// F32 or F64, the same in every file.
        public let elementType: ElementType
        /// The bytes of the packed triangle or the diagonal in each of ``PartialsSet/files``, from the file's start.
        public let fileRanges: [Range<Int>]
    }

    /// What was summed for one layer or parameter, over all files.
    public struct Counts: Equatable, Sendable {
        /// Rows of the layer's input; 0 for a parameter.
        public let rows: Int
        /// Samples.
        public let samples: Int
    }

    /// The joint rows of one file: of its own samples, as a factor file of these samples would have them.
    public struct JointPart: Equatable, Sendable {
        /// The tensors.
        public let entries: [JointEntry]
        /// What the file states of them.
        public let metadata: JointRowsMetadata
        /// Samples of the file.
        public let samples: Int
        /// The mean rows of the file's samples in each layer whose positions were pooled.
        public let rowsPerSample: [String: Double]
    }

    /// A file whose rank and sequence another file has too; it counts only once.
    public struct Repetition: Sendable {
        /// The file that is left out.
        public let file: SafetensorsFile
        /// The file that counts.
        public let original: SafetensorsFile
        let rank: Int
        let sequence: Int
    }

    /// The files in the order of the sum.
    public let files: [SafetensorsFile]
    /// The files that are left out; ``requireEqualRepetitions()`` compares them.
    public let repetitions: [Repetition]
    /// The task, which every file names.
    public let task: TaskName
    /// The run, which every file names.
    public let run: String
    /// M, the same in every file.
    public let probeCount: Int
    /// `tak`, `expand` or `reduce`.
    public let normalization: String
    /// Whether A's last row and column belong to the bias, by layer.
    public let hasBias: [String: Bool]
    /// How a layer's weight is stored, by layer; layers without an entry have ``WeightLayout/outIn``.
    public let layouts: [String: WeightLayout]
    /// SHA-256 of the base checkpoint, if the files name it.
    public let baseDigest: BlobDigest?
    /// The sums, sorted by name.
    public let sums: [Sum]
    /// The counts by layer or parameter.
    public let counts: [String: Counts]
    /// Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes, by layer; only of layers for which every file with rows states it.
    public let exactTraces: [String: Double]
    /// The joint rows of each of ``PartialsSet/files``; none if the run has none.
    public let jointParts: [JointPart]
    private let members: [PartialsFile]

    /// Checks files one by one and together.
    ///
    /// - Parameters:
    ///   - files: The open files, in any order, at least one.
    ///   - unreadable: The errors of files that could not be opened.
    /// - Throws: ``JobFileError``: all problems that were found, as ``JobFileError/several(_:)`` if more than one.
    public init(of files: [SafetensorsFile], besides unreadable: [JobFileError] = []) throws(JobFileError) {
        var problems = unreadable
        var members: [PartialsFile] = []
        members.reserveCapacity(files.count)
        for file in files {
            do throws(JobFileError) { members.append(try PartialsFile(file)) } catch { problems += error.all }
        }
        let assembly = PartialsAssembly(members, isComplete: problems.isEmpty)
        if let error = JobFileError.bundle(problems + assembly.problems.map(JobFileError.partials)) { throw error }
        guard let first = assembly.files.first else { throw .noFiles }
        self.members = assembly.files
        self.files = assembly.files.map(\.file)
        repetitions = assembly.repetitions
        task = first.metadata.task
        run = first.metadata.run
        probeCount = first.metadata.probeCount
        normalization = first.metadata.normalization
        hasBias = first.metadata.hasBias
        layouts = first.metadata.layouts
        baseDigest = first.metadata.baseDigest
        counts = assembly.counts
        exactTraces = assembly.exactTraces
        jointParts = assembly.files.compactMap(\.jointPart)
        sums = first.entries.indices.map { position in
            let entry = first.entries[position]
            return Sum(
                name: entry.name, shape: entry.shape, elementType: entry.elementType,
                fileRanges: assembly.files.map { $0.entries[position].fileRange })
        }
    }

    /// Requires that each repeated file has the bytes of the file that counts; both are read as a whole.
    ///
    /// - Throws: ``JobFileError``: every repetition with other bytes, or a failed read.
    public func requireEqualRepetitions() throws(JobFileError) {
        var problems: [JobFileError] = []
        for repetition in repetitions {
            let (file, original) = (repetition.file, repetition.original)
            let areEqual = try wrapping { () throws(SafetensorsError) in
                guard file.identity.byteCount == original.identity.byteCount else { return false }
                return try file.sha256() == original.sha256()
            }
            guard !areEqual else { continue }
            let flaw = PartialsFlaw.repeated(
                rank: repetition.rank, sequence: repetition.sequence, other: original.path)
            problems.append(.partials(PartialsProblem(flaw, in: [file.path])))
        }
        if let error = JobFileError.bundle(problems) { throw error }
    }
}

extension PartialsSet {
    /// Requires that the rows which the files state are those that their sums count, where a bias tells.
    ///
    /// - Throws: ``JobFileError``: every layer and file with other rows, or a failed read.
    public func requireCountedRows() throws(JobFileError) {
        var problems: [JobFileError] = []
        for member in members { problems += try PartialsValues(member).countProblems() }
        if let error = JobFileError.bundle(problems) { throw error }
    }
}

extension PartialsFile {
    /// The file's joint rows; nil if it has none.
    fileprivate var jointPart: PartialsSet.JointPart? {
        metadata.jointRows.map { stated in
            // A file's layers and parameters with joint rows have the same samples.
            let owners = Set(jointEntries.compactMap(\.name.owner))
            return PartialsSet.JointPart(
                entries: jointEntries, metadata: stated,
                samples: owners.lazy.compactMap { metadata.sampleCounts[$0] }.max() ?? 0,
                rowsPerSample: Dictionary(
                    uniqueKeysWithValues: (stated.buckets?.layers ?? []).compactMap { layer in
                        OwnerCounts.rowsPerSample(of: layer, metadata.rowCounts, metadata.sampleCounts).map { rows in
                            (layer, rows)
                        }
                    }))
        }
    }
}
