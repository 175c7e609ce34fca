import FileAccess
import Foundation
import Glibc
import Identifiers
import Scheduling
import SystemPackage

/// A file beside the journal that says how far the journal had come; it shows whether the journal's end is lost.
///
/// The file has two lines: JSON and its SHA-256. It is written after a commit, never before: for every job that begins
/// or ends, and otherwise at most once a second. So it may lag behind the journal, but is never ahead of it.
struct JournalWitness: Codable, Equatable {
    /// A running job.
    struct Job: Codable, Equatable {
        var id: String
        var spec: String
        var output: String?
    }

    /// The most jobs that are named; the first of the running ones.
    static let jobsMax = 1000
    /// The most bytes of the file: two paths of each job, escaped.
    static let bytesMax = 64 << 20

    var format = FormatVersion.journalWitness.description
    /// The generation of the journal.
    var generation: String
    /// The number of the last row.
    var lastRow: Int64
    /// Jobs that were accepted and had not ended.
    var jobs: [Job]

    /// The result of reading a witness file.
    enum Reading: Equatable {
        case absent
        case valid(JournalWitness)
        case damaged
    }

    static func path(besides journal: String) -> String {
        URL(fileURLWithPath: journal).deletingPathExtension().path + ".witness"
    }

    /// Reads the witness of a journal.
    ///
    /// - Throws: ``JobJournalError/format(path:_:)`` for a witness of another version.
    static func read(besides journal: String) throws(JobJournalError) -> Reading {
        let path = path(besides: journal)
        guard access(path, F_OK) == 0 else { return .absent }
        guard let text = try? TextFile.read(FilePath(path), limit: bytesMax, isStored: true) else { return .damaged }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, digest(of: String(lines[0])) == lines[1] else { return .damaged }
        let body = Data(lines[0].utf8)
        // The format comes first, because another version may write the rest differently.
        guard let stated = try? JSONDecoder().decode([String: AnyText].self, from: body)["format"]?.text else {
            return .damaged
        }
        if let problem = FormatVersion.journalWitness.problem(with: stated) {
            throw .format(path: path, problem)
        }
        guard let witness = try? JSONDecoder().decode(JournalWitness.self, from: body) else { return .damaged }
        return .valid(witness)
    }

    /// Replaces the witness of a journal.
    ///
    /// - Parameters:
    ///   - journal: The journal's path.
    ///   - isDurable: Whether it shall survive a loss of power.
    /// - Returns: Whether the new witness is written. If not, the old one stays.
    func write(besides journal: String, isDurable: Bool) -> Bool {
        let path = Self.path(besides: journal)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let body = (try? encoder.encode(self)).map({ String(decoding: $0, as: UTF8.self) }) else { return false }
        let bytes = Array("\(body)\n\(Self.digest(of: body))\n".utf8)
        let written = "\(path).written"
        let descriptor = open(written, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        let isWritten =
            Glibc.write(descriptor, bytes, bytes.count) == bytes.count
            && (!isDurable || (try? FileDescriptor(rawValue: descriptor).synchronize()) != nil)
        Glibc.close(descriptor)
        guard isWritten, rename(written, path) == 0 else {
            unlink(written)
            return false
        }
        return true
    }

    private static func digest(of text: String) -> String {
        BlobDigest(sha256: FileDigest.sha256(of: Array(text.utf8))).description
    }

    /// A member of any type; only text is read.
    private struct AnyText: Decodable {
        let text: String?

        init(from decoder: any Decoder) throws {
            text = try? decoder.singleValueContainer().decode(String.self)
        }
    }
}

extension JournalWitness.Job {
    init(_ header: JobHeader) {
        self.init(id: header.id.rawValue, spec: header.specPath, output: header.output)
    }
}
