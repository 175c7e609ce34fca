public import FileAccess
import Safetensors
public import SystemPackage

/// What a model's `config.json` says about how its weights are stored; empty where there is none.
public struct ModelDescription: Equatable, Sendable {
    /// `model_type`: which architecture it is.
    public var modelType: String?
    /// Whether weights are quantised: `quantization_config` or `compression_config` stand there.
    public var isQuantized = false

    /// The largest file that is read.
    private static let byteLimit = 16 << 20

    /// Nothing is known.
    public init() {}

    /// Reads the `config.json` of a model's directory; one that is missing or no JSON says nothing.
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
