import ArgumentParser
import Console
import Foundation
import Glibc
import Identifiers
import Safetensors
import SystemPackage
import WireProtocol
import ZeroMQ

/// `kfacctl fetch`.
struct FetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Downloads the outputs of a finished job.")

    @Argument(help: "The job's name.")
    var job: String

    @Argument(help: "The directory to write to; files of the same names are replaced.")
    var directory: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let id = JobID(rawValue: job)
            guard case .outputs(let files) = try await client.ask(.outputs(id)).reply else { return }
            for file in files {
                try await fetch(file, of: id, client)
                Terminal.note("\(file.path)  \(Quantity.bytes(file.byteCount))")
            }
        }
    }

    /// Writes beside the name and renames, so that a file that exists is whole.
    private func fetch(_ file: OutputFile, of job: JobID, _ client: CoordinatorClient) async throws {
        let path = FilePath(file.path)
        // A coordinator is no reason to write outside the directory.
        guard path.isRelative, path.isLexicallyNormal, !path.components.contains("..") else {
            throw CommandFailure(.failed, "the coordinator names the file \"\(file.path)\", which lies outside.")
        }
        let target = URL(fileURLWithPath: directory).appendingPathComponent(file.path)
        let partial = target.deletingLastPathComponent()
            .appendingPathComponent(".\(target.lastPathComponent).partial")
        do {
            try WholeFile.createDirectory(at: FilePath(target.deletingLastPathComponent().path))
            _ = FileManager.default.createFile(atPath: partial.path, contents: nil)
            let handle = try FileHandle(forWritingTo: partial)
            defer { try? handle.close() }
            var offset: UInt64 = 0
            while offset < file.byteCount {
                let request = ClientRequest.outputRange(
                    job, path: file.path, offset: offset, byteCount: file.byteCount - offset)
                guard let bytes = try await client.ask(request).payload?.copyBytes(), !bytes.isEmpty else {
                    throw CommandFailure(.failed, "\(file.path): the coordinator sent no bytes at \(offset).")
                }
                try handle.write(contentsOf: bytes)
                offset += UInt64(bytes.count)
            }
            try handle.synchronize()
            try publish(FilePath(partial.path), as: FilePath(target.path))
        } catch {
            try? FileManager.default.removeItem(at: partial)
            throw error
        }
    }

    /// Gives a file, whose content is durable, its name, and makes the name durable: what was told to be fetched is
    /// there after a crash.
    private func publish(_ partial: FilePath, as target: FilePath) throws {
        guard rename(partial.string, target.string) == 0 else {
            let cause = Errno(rawValue: errno)
            throw CommandFailure(.failed, "\(target): what was fetched cannot get this name: \(cause).")
        }
        let directory = target.removingLastComponent()
        do {
            let descriptor = try FileDescriptor.open(directory, .readOnly)
            try descriptor.closeAfter {
                guard fsync(descriptor.rawValue) == 0 else { throw Errno(rawValue: errno) }
            }
        } catch {
            throw CommandFailure(
                .failed, "\(directory): the name of \(target) in it cannot be made durable: \(error).")
        }
    }
}
