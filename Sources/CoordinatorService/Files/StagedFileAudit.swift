import Admission
import FileAccess
import Foundation
import Identifiers
import JobPlan
import Publication
import Safetensors
import Scheduling
import SystemPackage
import UnitOperations

/// The files that a job's units have staged; it checks that they are still as written.
///
/// A unit's result holds the digests of its files, in the order of their names. Before the publication a file is read
/// again if it has changed since, or if the coordinator was restarted.
struct StagedFileAudit {
    let job: Job
    let staged: StagedOutputs
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    /// A unit's files that differ from what was written.
    struct Damage: Equatable, Sendable, CustomStringConvertible {
        let unit: UnitIndex
        let path: FilePath
        let problem: String

        var description: String {
            "\(path): \(problem); the files are written again. Check the disk of the output directory."
        }
    }

    /// The digests of an operation's staged files, in the order of the files' names; empty without staged files.
    ///
    /// - Throws: `SafetensorsError` when a file cannot be read.
    static func digests(
        of operation: CoordinatorOperation, _ staged: StagedOutputs, in output: OutputDirectory
    ) throws -> [BlobReference] {
        try files(of: operation, in: output).map { file in
            if let finished = staged.finished(file.path) {
                return BlobReference(
                    digest: BlobDigest(sha256: finished.digest), byteCount: UInt64(finished.status.byteCount))
            }
            let digest = BlobDigest(sha256: try FileDigest.sha256(ofFileAt: file.path))
            staged.noteProven(ProvenFile(path: file.path, status: file.status, digest: "\(digest)"))
            return BlobReference(digest: digest, byteCount: file.status.byteCount)
        }
    }

    /// Checks all files, and reads those that this process has not read, or that have changed since.
    ///
    /// - Returns: The units whose files differ from the written ones, and the proven files of the other units. The
    ///   remains of damaged files are removed.
    func examined() -> (damages: [Damage], proven: [ProvenFile]) {
        var (damages, proven): ([Damage], [ProvenFile]) = ([], [])
        for unit in job.plan.units {
            guard case .coordinator(let operation) = unit.work, let recorded = result(unit.index)?.blobs else {
                continue
            }
            let places = Self.places(of: operation, in: job.output)
            guard !places.isEmpty, let problem = problem(of: operation, recorded, &proven) else { continue }
            for place in places { try? Directories.remove(place) }
            let common = places.count == 1 ? places[0] : job.output.staging
            damages.append(Damage(unit: unit.index, path: common, problem: problem))
        }
        return (damages, proven)
    }

    private func problem(
        of operation: CoordinatorOperation, _ recorded: [BlobReference], _ proven: inout [ProvenFile]
    ) -> String? {
        let files = Self.files(of: operation, in: job.output)
        guard !recorded.isEmpty, files.count == recorded.count else {
            return "holds \(files.count) files of the job; expected \(recorded.count)"
        }
        for (file, expected) in zip(files, recorded) {
            guard file.status.byteCount == expected.byteCount else {
                return "\(file.path.lastComponent?.string ?? "") has \(file.status.byteCount) bytes; expected "
                    + "\(expected.byteCount)"
            }
            if let known = staged.proven(file.path, file.status), known.digest == "\(expected.digest)" {
                proven.append(known)
                continue
            }
            guard let found = try? FileDigest.sha256(ofFileAt: file.path) else {
                return "\(file.path.lastComponent?.string ?? "") cannot be read"
            }
            guard BlobDigest(sha256: found) == expected.digest else {
                return "\(file.path.lastComponent?.string ?? "") has the digest \(BlobDigest(sha256: found)); expected "
                    + "\(expected.digest)"
            }
            proven.append(ProvenFile(path: file.path, status: file.status, digest: "\(expected.digest)"))
        }
        return nil
    }

    /// The places of an operation's staged files, each a directory or one file, in the order of their names.
    private static func places(of operation: CoordinatorOperation, in output: OutputDirectory) -> [FilePath] {
        switch operation {
        case .assembleFactors(let task): [output.staging.appending("factors").appending(task.rawValue)]
        case .assembleRegularizer(let target): [output.staging.appending("regularizer").appending(target.description)]
        case .assembleInverses(let target): [output.staging.appending("inverses").appending(target.description)]
        case .mergeCheckpoint: [output.staging.appending("merged")]
        case .writeReport: ReportWriter.fileNames.map { output.staging.appending($0) }
        case .digestInputs, .publish: []
        }
    }

    private static func files(
        of operation: CoordinatorOperation, in output: OutputDirectory
    ) -> [(path: FilePath, status: FileStatus)] {
        places(of: operation, in: output).flatMap { place in
            if let status = FileStatus(of: place), status.kind == .file { return [(place, status)] }
            return Directories.entries(below: place).filter { $0.status.kind == .file }
                .map { (place.pushing(FilePath($0.path)), $0.status) }
        }
    }
}
