import Foundation

/// A directory for one test; it is removed with its content when its last reference is released.
public final class TemporaryDirectory: Sendable {
    /// The directory's path.
    public let path: String

    /// Makes an empty directory.
    ///
    /// - Throws: what Foundation throws if the directory cannot be made.
    public init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("kfacd-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        self.path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of an entry; creates nothing.
    public func appending(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file and returns its path.
    ///
    /// - Throws: what Foundation throws if the file cannot be written.
    @discardableResult
    public func write(_ bytes: [UInt8], to name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: appending(name)))
        return appending(name)
    }

    /// The bytes of a file.
    ///
    /// - Throws: what Foundation throws if the file cannot be read.
    public func read(_ name: String) throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: appending(name))))
    }

    /// Removes a file, or a directory with its content.
    ///
    /// - Throws: what Foundation throws if the entry cannot be removed.
    public func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: appending(name))
    }

    /// The sorted names in the directory, including hidden ones.
    ///
    /// - Throws: what Foundation throws if the directory cannot be listed.
    public func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }
}
