import ArgumentParser
import Console
import FileAccess
import Foundation
import Hashing
import Identifiers
import Publication
import Safetensors
import SystemPackage
import WireProtocol
import ZeroMQ

/// `kfacctl fetch`.
struct FetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Downloads the outputs of a finished job.",
        discussion: """
            All files get their names together, when every one of them has the digest that the job's list has. Other \
            files in the directory are left alone; those of an earlier fetch are replaced as long as nobody changed them.
            """)

    @Argument(help: "The job's name.")
    var job: String

    @Argument(help: "The directory to write to; it is made when it is not there.")
    var directory: String

    @Flag(help: "Replace the files of another job that were fetched to the directory or written there.")
    var overwrite = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let id = JobID(rawValue: job)
        let target = FetchTarget(directory: FilePath(URL(fileURLWithPath: directory).standardizedFileURL.path))
        // The place is checked before anything is requested.
        try target.requireUsable()
        let (connection, overwrite) = (connection, overwrite)
        // A signal ends the fetch as an error does: incomplete files are removed.
        try await Interruption.watched(outcome: "interrupted; what was fetched is removed.") {
            try await connection.withClient { client in
                guard case .outputs(let files) = try await client.ask(.outputs(id)).reply else { return }
                let source = FetchSource(job: id, client: client)
                let list = try await source.list(files)
                let output = try target.output(for: list, overwrites: overwrite)
                try await output.fetch(list, from: source)
                for file in list.files { Terminal.note("\(file.path)  \(Quantity.bytes(file.byteCount))") }
            }
        }
    }
}

/// The files of a job at the coordinator.
struct FetchSource {
    let job: JobID
    let client: CoordinatorClient

    /// The list of files that the job published.
    func list(_ files: [OutputFile]) async throws -> OutputManifest {
        guard let entry = files.first(where: { $0.path == OutputManifest.fileName }) else {
            throw CommandFailure(
                .failed,
                "\(job): the coordinator gives no list of the outputs (\(OutputManifest.fileName)); it is of an "
                    + "earlier version. Update it.")
        }
        var bytes: [UInt8] = []
        try await read(entry.path, byteCount: entry.byteCount) { chunk in bytes += chunk }
        let list: OutputManifest
        do {
            // The list is refused if a path in it leads out of the directory.
            list = try OutputManifest(parsing: bytes, file: FilePath(entry.path))
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        let offered = Set(files.map(\.path))
        let missing = list.files.map(\.path).filter { !offered.contains($0) }
        guard missing.isEmpty else {
            throw CommandFailure(.failed, "\(job): the coordinator lacks \(missing[0]) and \(missing.count - 1) more.")
        }
        return list
    }

    /// Reads a file from start to end.
    func read(_ path: String, byteCount: UInt64, _ take: ([UInt8]) throws -> Void) async throws {
        var offset: UInt64 = 0
        while offset < byteCount {
            try Task.checkCancellation()
            let request = ClientRequest.outputRange(job, path: path, offset: offset, byteCount: byteCount - offset)
            guard let bytes = try await client.ask(request).payload?.copyBytes(), !bytes.isEmpty else {
                throw CommandFailure(
                    .failed,
                    "\(path): the coordinator sent no bytes at \(offset); the file is shorter than its list says.")
            }
            guard UInt64(bytes.count) <= byteCount - offset else {
                throw CommandFailure(.failed, "\(path): the coordinator sent more bytes than its list says.")
            }
            try take(bytes)
            offset += UInt64(bytes.count)
        }
    }
}

/// The directory for the fetched files.
private struct FetchTarget {
    let directory: FilePath

    /// Refuses a directory that cannot be written in any case.
    func requireUsable() throws {
        guard let obstacle = WriteAccess.obstacle(toUsing: directory) else { return }
        throw CommandFailure(.badInput, "\(directory): cannot be written to: \(obstacle) Choose another directory.")
    }

    /// Claims the directory for the fetched files.
    func output(for list: OutputManifest, overwrites: Bool) throws -> OutputDirectory {
        do throws(PublicationError) {
            if let known = try OutputManifest(in: directory), !overwrites,
                known.job != list.job || known.coordinator != list.coordinator
            {
                throw .inTheWay(
                    path: directory,
                    reasons: [
                        "holds the files of \(known.job) of the coordinator \(known.coordinator). Choose another, or allow "
                            + "it with --overwrite."
                    ])
            }
            let output = OutputDirectory(
                path: directory, job: list.job,
                owner: ClaimOwner(coordinator: list.coordinator, stateDirectory: ""), overwrites: true,
                roots: .unlimited)
            let planned = list.files.map { PlannedFile(path: $0.path, byteCount: $0.byteCount) }
            let problems =
                output.problems(publishing: planned) + [output.shortage(publishing: planned)].compactMap { $0 }
            guard problems.isEmpty else { throw .refused(problems) }
            try output.claim()
            return output
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }
}

extension OutputDirectory {
    /// Downloads files, and renames them when all have arrived.
    fileprivate func fetch(_ list: OutputManifest, from source: FetchSource) async throws {
        do {
            // An earlier fetch of the same job ended after all files had arrived.
            if try !canGoOn() {
                for file in list.files { try await fetch(file, from: source) }
            }
            try publish()
        } catch {
            let kept = discard()
            if let failure = error as? CommandFailure { throw failure }
            if error is CancellationError { throw error }
            throw CommandFailure(
                .failed, "\(SystemWords.text(of: error))\(kept.map { " What was fetched is kept in \($0)." } ?? "")")
        }
        let left = removeStaging()
        guard let first = left.first else { return }
        Terminal.note(
            "warning: \(first)\(left.count > 1 ? " and \(left.count - 1) more" : "") could not be removed, or is of no "
                + "job; it is kept.")
    }

    private func fetch(_ file: OutputManifest.File, from source: FetchSource) async throws {
        let path = FilePath(file.path)
        let place = try stage(at: path.removingLastComponent()).appending(path.lastComponent?.string ?? "")
        let descriptor = try FileDescriptor.open(
            place, .writeOnly, options: [.create, .truncate, .closeOnExec],
            permissions: [
                .ownerReadWrite, .groupReadWrite, .otherReadWrite,
            ])
        defer { try? descriptor.close() }
        var hash = SHA256()
        try await source.read(file.path, byteCount: file.byteCount) { bytes in
            hash.update(bytes)
            do {
                try descriptor.writeAll(bytes)
            } catch {
                throw CommandFailure(.failed, "\(place): cannot be written: \(SystemWords.text(of: error)).")
            }
        }
        let digest = BlobDigest(sha256: hash.finalize()).description
        guard digest == file.digest else {
            throw CommandFailure(
                .failed,
                "\(file.path): is not what the job wrote: its SHA-256 is \(digest), its list says "
                    + "\(file.digest). Run the job again.")
        }
        do {
            try descriptor.synchronize()
        } catch {
            throw CommandFailure(.failed, "\(place): cannot be made durable: \(SystemWords.text(of: error)).")
        }
    }
}
