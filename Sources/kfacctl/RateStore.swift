import CostEstimate
import FileAccess
import Foundation
import Identifiers
import SystemPackage

/// The measured rates that this user's earlier commands remembered, one file for each kind of machine.
///
/// They can be measured again, so a file that is damaged or of another machine counts as missing, and a place that
/// cannot be written is no error.
struct RateStore {
    /// `kfacd` in XDG_CACHE_HOME, else in `~/.cache`; `nil` when neither is known.
    ///
    /// Source: XDG Base Directory Specification 0.8, which ignores relative paths.
    let directory: FilePath?

    private static let byteCountMax = 1 << 20

    /// The store of the user whose environment this is.
    init(environment: [String: String]) {
        func absolute(_ name: String) -> FilePath? {
            environment[name].map { FilePath($0) }.flatMap { $0.isAbsolute ? $0 : nil }
        }
        let caches = absolute("XDG_CACHE_HOME") ?? absolute("HOME")?.appending(".cache")
        directory = caches?.appending("kfacd")
    }

    /// The record of a machine, if there is one.
    func record(of machine: RatedMachine) -> RateRecord? {
        guard let path = path(of: machine), let bytes = try? WholeFile.read(path, limit: Self.byteCountMax),
            let record = try? JSONDecoder().decode(RateRecord.self, from: Data(bytes)), record.isValid(on: machine)
        else { return nil }
        return record
    }

    /// Remembers a record in place of an earlier one.
    func remember(_ record: RateRecord) {
        guard let directory, let path = path(of: record.machine) else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let data = try? encoder.encode(record) else { return }
        _ = try? Directories.create(directory, mode: 0o700)
        try? WholeFile.write(Array(data), to: path)
    }

    private func path(of machine: RatedMachine) -> FilePath? {
        let text = "\(machine.kernels)\n\(machine.processor)\n\(machine.lanes)"
        let digits = BlobDigest(sha256: FileDigest.sha256(of: Array(text.utf8))).description.prefix(16)
        return directory?.appending("rates-\(digits).json")
    }
}
