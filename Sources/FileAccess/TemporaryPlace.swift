import Glibc
public import SystemPackage

/// Where files are made that nobody keeps.
public struct TemporaryPlace: Equatable, Sendable {
    /// The directory.
    public let path: FilePath
    /// What names it, for messages.
    public let setting: String
    /// Whether somebody named it for this program: then it is made when it does not exist.
    public let isOption: Bool

    /// The directory that an option names, else the one that TMPDIR names, else a usual one.
    ///
    /// - Parameters:
    ///   - path: What the option says, or `nil`.
    ///   - option: The option's name.
    ///   - usual: Where such files are made when neither says so.
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
