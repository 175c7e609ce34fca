import FileAccess
import Identifiers
import JSONText
import SystemPackage

/// Who pushed a part, and when: a file beside the bytes, of the format `kfacd.push/1`.
///
/// It is durable before the first byte. A part whose record cannot be read still counts.
struct PushRecord: Equatable {
    /// For people.
    var sender: String
    /// Bytes of the whole part.
    var byteCount: UInt64
    /// Seconds since 1970.
    var beganAt: Double

    private static let byteCountMax = 1 << 16

    init(sender: String, byteCount: UInt64, beganAt: Double) {
        (self.sender, self.byteCount, self.beganAt) = (sender, byteCount, beganAt)
    }

    /// Reads a record; nil for a file that is none.
    init?(reading file: FilePath) {
        guard let bytes = try? WholeFile.read(file, limit: Self.byteCountMax),
            let value = try? JSONValue(parsing: bytes, file: file),
            FormatVersion.push.problem(with: value["format"]?.stringValue) == nil,
            case .number(let count)? = value["byte_count"], let byteCount = UInt64(count), byteCount < Int.max,
            case .number(let time)? = value["began_at"], let beganAt = Double(time), beganAt.isFinite
        else { return nil }
        self.init(sender: value["sender"]?.stringValue ?? "", byteCount: byteCount, beganAt: beganAt)
    }

    /// Makes the record durable.
    ///
    /// - Throws: `FileError`; there is no record then.
    func write(to file: FilePath) throws(FileError) {
        let value = JSONValue.object([
            .init("format", .string(FormatVersion.push.description)), .init("sender", .string(sender)),
            .init("byte_count", .number("\(byteCount)")), .init("began_at", .number("\(beganAt)")),
        ])
        try WholeFile.write(Array((value.text(indent: 2) + "\n").utf8), to: file)
    }
}

/// The files of a run that a job uses, so that a restarted coordinator takes the same ones: `kfacd.run-hold/1`.
enum RunHold {
    private static let byteCountMax = 64 << 20
    private static let suffix = ".hold"

    /// The name of the file for a job.
    static func fileName(of job: JobID) -> String { job.rawValue + suffix }

    /// The job of a file; nil for another file.
    static func job(of fileName: String) -> JobID? {
        fileName.hasSuffix(suffix) ? JobID(rawValue: String(fileName.dropLast(suffix.count))) : nil
    }

    /// The names of the files that a job uses; nil when the list cannot be read.
    static func read(_ file: FilePath) -> [String]? {
        guard let bytes = try? WholeFile.read(file, limit: byteCountMax),
            let value = try? JSONValue(parsing: bytes, file: file),
            FormatVersion.runHold.problem(with: value["format"]?.stringValue) == nil,
            case .array(let names)? = value["files"]
        else { return nil }
        return names.compactMap(\.stringValue)
    }

    /// Makes a list durable.
    ///
    /// - Throws: `FileError`; there is no list then.
    static func write(_ names: [String], to file: FilePath) throws(FileError) {
        let value = JSONValue.object([
            .init("format", .string(FormatVersion.runHold.description)),
            .init("files", .array(names.map(JSONValue.string))),
        ])
        try WholeFile.write(Array((value.text(indent: 2) + "\n").utf8), to: file)
    }
}
