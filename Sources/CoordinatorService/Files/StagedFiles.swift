import Foundation
import Identifiers
import JobPlan
import Publication
import Safetensors
import Scheduling
import SystemPackage

/// The files that a job's units have staged, and whether they are still as they were written.
///
/// A unit's result names the digests of its files, in the order of their names. They are read once more before anything
/// is published: hours may lie between, restarts, and a disk that lies.
struct StagedFiles {
    let job: Job
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    /// Files of a unit that are not as it wrote them.
    struct Damage: Equatable, Sendable, CustomStringConvertible {
        let unit: UnitIndex
        let path: FilePath
        let problem: String

        var description: String {
            "\(path): \(problem); the files are written again. Check the disk of the output directory."
        }
    }

    /// The digests of what an operation has staged, in the order of the files' names; none for one that stages nothing.
    ///
    /// - Throws: `SafetensorsError` when a file cannot be read.
    static func digests(of operation: CoordinatorOperation, in output: OutputDirectory) throws -> [BlobReference] {
        guard let place = place(of: operation, in: output) else { return [] }
        return try files(at: place).map { file in
            BlobReference(
                digest: BlobDigest(sha256: try FileDigest.sha256(ofFileAt: file.path)), byteCount: file.byteCount)
        }
    }

    /// The units whose files are not as they were written; what is left of these files is removed.
    func damages() -> [Damage] {
        job.plan.units.compactMap { unit in
            guard case .coordinator(let operation) = unit.operation,
                let place = Self.place(of: operation, in: job.output), let recorded = result(unit.index)?.blobs
            else { return nil }
            guard let problem = Self.problem(at: place, recorded) else { return nil }
            try? DirectoryTree.remove(place)
            return Damage(unit: unit.index, path: place, problem: problem)
        }
    }

    private static func problem(at place: FilePath, _ recorded: [BlobReference]) -> String? {
        let files = files(at: place)
        guard !recorded.isEmpty, files.count == recorded.count else {
            return "holds \(files.count) files of the job; expected \(recorded.count)"
        }
        for (file, expected) in zip(files, recorded) {
            guard file.byteCount == expected.byteCount else {
                return "\(file.path.lastComponent?.string ?? "") has \(file.byteCount) bytes; expected "
                    + "\(expected.byteCount)"
            }
            guard let found = try? FileDigest.sha256(ofFileAt: file.path) else {
                return "\(file.path.lastComponent?.string ?? "") cannot be read"
            }
            guard BlobDigest(sha256: found) == expected.digest else {
                return "\(file.path.lastComponent?.string ?? "") has the digest \(BlobDigest(sha256: found)); expected "
                    + "\(expected.digest)"
            }
        }
        return nil
    }

    /// Where an operation stages its files: a directory, or one file.
    private static func place(of operation: CoordinatorOperation, in output: OutputDirectory) -> FilePath? {
        switch operation {
        case .assembleFactors(let task): output.staging.appending("factors").appending(task.rawValue)
        case .assembleRegularizer(let target): output.staging.appending("regularizer").appending(target.description)
        case .assembleInverses(let target): output.staging.appending("inverses").appending(target.description)
        case .mergeCheckpoint: output.staging.appending("merged")
        case .writeReport: output.staging.appending("report.json")
        case .digestInputs, .publish: nil
        }
    }

    private static func files(at place: FilePath) -> [(path: FilePath, byteCount: UInt64)] {
        if let status = FileStatus(of: place), status.kind == .file { return [(place, status.byteCount)] }
        return DirectoryTree.entries(below: place).filter { $0.status.kind == .file }
            .map { (place.pushing(FilePath($0.path)), $0.status.byteCount) }
    }
}
