import ArgumentParser
import Console
import FileAccess
import Foundation
import Identifiers
import JobFiles
import Safetensors
import SystemPackage
import WireProtocol
import ZeroMQ

/// `kfacctl push`.
struct PushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Sends partial sums or rows of a training run to the coordinator.",
        discussion: """
            Files of partial sums say their run, rank and sequence. A file that is there already is not sent again, and \
            one that is there in part is sent from there on. With --rows the files are captures: their rows are sent, \
            workers with --row-memory sum them, and the coordinator keeps the sums. A job uses either with \
            "factors: run:NAME".
            """)

    @Argument(help: "Files of partial sums; with --rows the captures of one task, or directories of them.")
    var files: [String]

    @Flag(name: .shortAndLong, help: "Print no progress.")
    var quiet = false

    @OptionGroup(title: "Rows") var rowOptions: RowOptions

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if files.isEmpty { throw ValidationError("Name at least one file.") }
        try rowOptions.check()
    }

    func run() async throws {
        let (connection, quiet) = (connection, quiet)
        if rowOptions.rows {
            let push = try RowPush(captures: files, rowOptions, isQuiet: quiet)
            let outcome = "interrupted; of rows nothing is kept before all are sent."
            return try await Interruption.watched(outcome: outcome) {
                try await connection.withClient { try await push.follow($0) }
            }
        }
        // All files are checked before the first byte is sent.
        let parts = try files.checked()
        let outcome = "interrupted; what has arrived stays, and the next push goes on from there."
        let failures = try await Interruption.watched(outcome: outcome) {
            try await connection.withClient { client in
                var failures: [CommandFailure] = []
                for part in parts {
                    do {
                        try await FilePush(part: part, isQuiet: quiet).follow(client)
                    } catch let failure as CommandFailure where failure.code != .unreachable {
                        failures.append(failure)
                    }
                }
                return failures
            }
        }
        guard let first = failures.first else { return }
        let code = failures.contains { $0.code == .badInput } ? .badInput : first.code
        throw CommandFailure(code, failures.map(\.message).lazy.cutLines)
    }
}

/// A file to be pushed, checked.
private struct LocalPart: Sendable {
    let name: String
    let file: SafetensorsFile
    let run: RunName
    let place: PartialsPlace
}

extension [String] {
    /// The files of partial sums.
    ///
    /// - Throws: ``CommandFailure`` with the problems of all files.
    fileprivate func checked() throws -> [LocalPart] {
        var problems: [String] = []
        var parts: [LocalPart] = []
        for name in self {
            do {
                let file = try SafetensorsFile(opening: FilePath(name))
                let metadata = try PartialsMetadata(checking: file)
                parts.append(
                    LocalPart(
                        name: name, file: file, run: RunName(rawValue: metadata.run),
                        place: PartialsPlace(rank: metadata.rank, sequence: metadata.sequence)))
            } catch {
                problems.append("\(error)")
            }
        }
        guard problems.isEmpty else { throw CommandFailure(.badInput, problems.lazy.cutLines) }
        return parts
    }
}

/// Pushes one file.
private struct FilePush {
    let part: LocalPart
    let isQuiet: Bool

    /// Pushes the file, and waits while the coordinator is away or has no place.
    ///
    /// - Throws: ``CommandFailure`` when it is refused, or when the coordinator does not answer.
    func follow(_ client: CoordinatorClient) async throws {
        let content: BlobReference
        do {
            content = BlobReference(
                digest: BlobDigest(sha256: try part.file.sha256()), byteCount: UInt64(part.file.identity.byteCount))
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        let offer = PushOffer(
            run: part.run, place: part.place, host: ProcessInfo.processInfo.hostName, content: .file(content))
        let sentBytes = try await PushPatience(name: part.name).repeating { progress in
            try await send(offer, content, client, progress)
        }
        let what = sentBytes == 0 ? "was there already" : "pushed"
        Terminal.note(
            "\(part.name): \(what) as \(part.place) of run \"\(part.run.rawValue.excerpt)\", "
                + Quantity.bytes(content.byteCount))
    }

    private func send(
        _ offer: PushOffer, _ content: BlobReference, _ client: CoordinatorClient, _ progress: PushPatience.Progress
    ) async throws -> UInt64 {
        let file = part.file
        let display = PushDisplay(name: part.name, byteCount: content.byteCount, isQuiet: isQuiet)
        return try await client.push(offer) { offset, count in
            var buffer = try PayloadBuffer(byteCount: count)
            try buffer.withMutableBytes { bytes throws in
                try file.read(fromFileOffset: Int(offset), into: &bytes)
            }
            return Frame(buffer)
        } onProgress: { arrived in
            progress.note(arrived)
            display.show(arrived)
        }
    }
}
