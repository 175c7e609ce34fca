public import Identifiers

/// Where the settings of an adapter come from.
public struct AdapterSource: Equatable, Sendable {
    /// Position of its file of tensors among the job's input files.
    public var file: Int
    /// Path of the `adapter_config.json`.
    public var configurationPath: String
    /// Its size in bytes.
    public var configurationByteCount: Int
    /// SHA-256 of its bytes.
    public var configurationDigest: BlobDigest

    /// Describes the settings' file.
    public init(
        file: Int, configurationPath: String, configurationByteCount: Int, configurationDigest: BlobDigest
    ) {
        self.file = file
        self.configurationPath = configurationPath
        self.configurationByteCount = configurationByteCount
        self.configurationDigest = configurationDigest
    }
}
