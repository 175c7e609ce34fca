public import FileAccess
import Safetensors
public import SystemPackage

/// The facts in a model's `config.json` about its weights' storage; empty without such a file.
public struct ModelDescription: Equatable, Sendable {
    /// `model_type`, the architecture.
    public var modelType: String?
    /// Whether weights are quantised: the config has `quantization_config` or `compression_config`.
    public var isQuantized = false

    /// The largest file that is read.
    private static let byteLimit = 16 << 20

    /// Makes an empty description.
    public init() {}

    /// Reads the `config.json` of a model's directory.
    ///
    /// A file that is missing or is not JSON gives an empty description.
    public init(of directory: FilePath, within roots: FileRoots) {
        let path = directory.appending("config.json")
        guard let bytes = try? WholeFile.read(path, limit: Self.byteLimit, within: roots),
            let config = try? JSONValue(parsing: bytes, file: path)
        else { return }
        modelType = config["model_type"]?.stringValue
        isQuantized = ["quantization_config", "compression_config"].contains { key in
            config[key].map { $0 != .null } ?? false
        }
    }
}
