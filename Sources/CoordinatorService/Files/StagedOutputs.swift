import Admission
import FileAccess
import Identifiers
import JobFiles
import JobPlan
import Publication
import Safetensors
import Synchronization
import SystemPackage
import UnitOperations
import WireProtocol

/// The factor, regularizer and inverse files of a running job, into which workers write their outputs.
///
/// The plan states every matrix, so the files have their size and their header from the start. A worker that sees a
/// file writes its matrices in place, and the coordinator need not copy them. Source: DESIGN section 5.
final class StagedOutputs: Sendable {
    private let job: Job
    private let keepsBlobs: Bool
    private let contents: CurvatureContents
    private let state = Mutex(State())

    /// A matrix of an output.
    private struct Place {
        let position: Int
        /// Position among the known files.
        let file: Int
        let offset: Int
        let squareRows: Int?
        /// Whether nobody needs the blob once it stands in its places.
        var isOnlyCopy = false
    }

    private struct State {
        var files: [LeasedFile] = []
        var places: [UnitIndex: [Place]] = [:]
        /// Files that this process has finished.
        var finished: [FilePath: SafetensorsWriter.Finished] = [:]
        /// Other files that were read since they got their names.
        var proven: [FilePath: ProvenFile] = [:]
    }

    /// - Parameters:
    ///   - job: The job.
    ///   - keepsBlobs: Whether later jobs may read the blobs of this one.
    init(job: Job, keepsBlobs: Bool) {
        self.job = job
        self.keepsBlobs = keepsBlobs
        contents = CurvatureContents(job: job)
    }

    /// Makes the files, or goes on with those that an earlier process of the coordinator has left.
    ///
    /// An output has places only if it has one wherever it is read. Otherwise its blob is needed anyway.
    ///
    /// - Parameter isFinished: Whether a unit's file has its name already. Such a file stays as it is.
    /// - Throws: `JobFileError`, `PublicationError`, `FileRootsError`. The coordinator then collects the outputs, and
    ///   meets the same error when it writes them.
    func prepare(except isFinished: (UnitIndex) -> Bool) throws {
        var fresh = State()
        var collected: Set<UnitOutput> = []
        for unit in job.plan.units where !unit.isForWorker && !isFinished(unit.index) {
            guard case .coordinator(let operation) = unit.work, let file = contents.file(of: operation) else {
                collected.formUnion(job.plan.blobs(readBy: unit))
                continue
            }
            // A matrix with a strength differs from its output.
            collected.formUnion(file.sources.lazy.filter { $0.strength != 1 }.map(\.output))
            try notePlaces(in: file, of: operation, &fresh)
        }
        for output in collected { fresh.places[output.unit]?.removeAll { $0.position == output.position } }
        if !keepsBlobs { noteOnlyCopies(&fresh) }
        state.withLock { [fresh] state in (state.files, state.places) = (fresh.files, fresh.places) }
    }

    private func noteOnlyCopies(_ state: inout State) {
        let outputs = job.plan.outputsForFilesAlone
        for (unit, places) in state.places {
            state.places[unit] = places.map { place in
                var place = place
                place.isOnlyCopy = outputs.contains(UnitOutput(unit, place.position))
                return place
            }
        }
    }

    private func notePlaces(
        in file: CurvatureContents.File, of operation: CoordinatorOperation, _ state: inout State
    ) throws {
        let draft = try contents.draft(of: operation)
        let writer = try writer(of: file, metadata: draft, draft: draft, isDurable: false)
        var numbers: [FilePath: Int] = [:]
        for (output, place) in try outputs(of: file, writer) {
            let number = numbers[place.file.path] ?? state.files.count
            if number == state.files.count {
                numbers[place.file.path] = number
                state.files.append(
                    LeasedFile(
                        path: place.file.path.string, byteCount: UInt64(place.file.byteCount),
                        headerDigest: BlobDigest(sha256: place.file.headerDigest)))
            }
            let known = Place(
                position: output.position, file: number, offset: place.offset, squareRows: place.squareRows)
            state.places[output.unit, default: []].append(known)
        }
    }

    /// The outputs that stand in a file, each with its place.
    private func outputs(
        of file: CurvatureContents.File, _ writer: CurvatureWriter
    ) throws -> [(UnitOutput, CurvatureWriter.Place)] {
        var outputs: [(UnitOutput, CurvatureWriter.Place)] = []
        for source in file.sources {
            if let place = try writer.place(of: source.name, source.shape) { outputs.append((source.output, place)) }
        }
        for tensor in file.rows {
            guard case .blob(let output) = tensor.content, let place = try writer.place(ofRows: tensor.name) else {
                continue
            }
            outputs.append((output, place))
        }
        return outputs
    }

    /// Opens the staged set of a file, or makes it.
    ///
    /// - Throws: As ``prepare(except:)``.
    func writer(
        of file: CurvatureContents.File, metadata: [String: String], draft: [String: String], isDurable: Bool = true
    ) throws -> CurvatureWriter {
        let path = file.components.reduce(into: FilePath("")) { $0.append($1) }
        return try CurvatureWriter(
            directory: try job.output.stage(at: path, isDurable: isDurable), kind: file.kind,
            entries: file.sources.map { CurvatureWriter.Entry($0.name, shape: $0.shape, form: $0.form) },
            rows: file.rows.map { CurvatureWriter.Rows($0.name, shape: $0.shape) }, metadata: metadata, draft: draft,
            storage: job.plan.spec.curvature.storesPackedTriangles ? .packed : .full)
    }

    /// Where a unit's outputs belong.
    func places(of unit: UnitIndex) -> [OutputPlace] {
        state.withLock { state in
            (state.places[unit] ?? []).map { place in
                OutputPlace(
                    position: place.position, file: state.files[place.file], offset: UInt64(place.offset),
                    squareRows: place.squareRows, isOnlyCopy: place.isOnlyCopy)
            }
        }
    }

    // MARK: - Finished files

    /// Notes what files held when they were finished.
    func noteFinished(_ files: [SafetensorsWriter.Finished]) {
        state.withLock { state in for file in files { state.finished[file.path] = file } }
    }

    /// What a file held when this process finished it; `nil` for another file.
    func finished(_ path: FilePath) -> SafetensorsWriter.Finished? { state.withLock { $0.finished[path] } }

    /// Notes the digest of a file that has its name, and the file's status before it was read.
    func noteProven(_ file: ProvenFile) {
        state.withLock { $0.proven[file.path] = file }
    }

    /// The digest of a file that this process has read, unless the file has changed since.
    func proven(_ path: FilePath, _ status: FileStatus) -> ProvenFile? {
        state.withLock { state in
            if let file = state.finished[path] {
                return file.status.isThat(of: status)
                    ? ProvenFile(path: path, status: status, digest: "\(BlobDigest(sha256: file.digest))") : nil
            }
            return state.proven[path].flatMap { $0.status == status ? $0 : nil }
        }
    }
}
