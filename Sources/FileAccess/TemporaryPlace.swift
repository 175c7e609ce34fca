import Glibc
public import SystemPackage

/// The directory for temporary files.
public struct TemporaryPlace: Equatable, Sendable {
    /// The directory.
    public let path: FilePath
    /// The setting that named it, for messages.
    public let setting: String
    /// Whether an option of this program named it; only then is it created when missing.
    public let isOption: Bool

    /// The directory that an option names, else the one that TMPDIR names, else a usual one.
    ///
    /// - Parameters:
    ///   - path: The option's value, or `nil`.
    ///   - option: The option's name.
    ///   - usual: The directory when neither names one.
    public init(named path: String?, option: String, usual: FilePath) {
        if let path {
            (self.path, setting, isOption) = (FilePath(path), option, true)
        } else if let value = unsafe getenv("TMPDIR").map({ unsafe FilePath(platformString: $0) }), !value.isEmpty {
            (self.path, setting, isOption) = (value, "TMPDIR", false)
        } else {
            (self.path, setting, isOption) = (usual, "TMPDIR or \(option)", false)
        }
    }
}
