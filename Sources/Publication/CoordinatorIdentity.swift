import FileAccess
import Identifiers
import JSONText
public import SystemPackage

/// The lasting name of a coordinator, which distinguishes its jobs from those of others.
///
/// It is stored as `coordinator.json` in its state directory, in the format `kfacd.coordinator/1`.
public enum CoordinatorIdentity {
    static let fileName = "coordinator.json"

    /// The name in a state directory; a new random one when there is none yet.
    ///
    /// - Parameters:
    ///   - directory: The state directory.
    ///   - isDurable: Whether a new name must survive a crash of the machine.
    /// - Returns: The name.
    /// - Throws: ``PublicationError``; nothing is written then.
    public static func open(in directory: FilePath, isDurable: Bool = true) throws(PublicationError) -> String {
        let file = directory.appending(fileName)
        if FileStatus(of: file) != nil {
            let value = try VersionedFile.read(file, format: .coordinator, byteLimit: 1 << 16)
            guard let name = value["id"]?.stringValue, isUsable(name) else {
                throw .malformed(file: file, problem: "\"id\" is missing or not what it should be.")
            }
            return name
        }
        let name = new()
        let text = JSONValue.object([
            .init("format", .string(FormatVersion.coordinator.description)), .init("id", .string(name)),
        ]).text(indent: 2)
        try writing { () throws(FileError) in
            try WholeFile.write(Array((text + "\n").utf8), to: file, isDurable: isDurable)
        }
        return name
    }

    /// A random name, for a coordinator that has none yet or leaves nothing behind.
    public static func new() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The name in a state directory, or `nil` when none can be read.
    public static func read(in directory: FilePath) -> String? {
        let value = try? VersionedFile.read(directory.appending(fileName), format: .coordinator, byteLimit: 1 << 16)
        return value?["id"]?.stringValue
    }

    /// The name becomes part of file names.
    private static func isUsable(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }
    }
}
