import FileAccess
import JSONText
public import Safetensors
public import SystemPackage

/// The content of the `config.json` beside a model's tensors: the storage of the weights, and their meaning.
public struct ModelDescription: Equatable, Sendable {
    /// The file.
    public let location: FilePath
    /// The values as JSON texts, by the paths of their keys, such as `text_config.hidden_act`.
    ///
    /// Keys that newer versions of transformers have renamed have their old names here.
    public let values: [String: String]
    /// `model_type`, the architecture.
    public let modelType: String?
    /// Whether weights are quantised: there is a `quantization_config` or a `compression_config`.
    public let isQuantized: Bool

    /// The size limit of the file, far above any real configuration.
    private static let byteLimit = 16 << 20

    /// Reads the configuration of a model once.
    ///
    /// - Parameter set: The model's tensors.
    /// - Returns: The content; `nil` if there is no file, or none that may be read.
    /// - Throws: ``JobFileError`` when it cannot be read, or is not JSON, or is not an object.
    public static func read(besides set: SafetensorsSet) throws(JobFileError) -> ModelDescription? {
        guard let directory = set.files.first?.path.removingLastComponent() else { return nil }
        let path = directory.appending("config.json")
        guard let config = try CompanionJSON.read(path, limit: byteLimit, within: set.roots) else { return nil }
        guard config.members != nil else { throw .noConfiguration(file: path, found: config.kind) }
        return ModelDescription(config, at: path)
    }

    private init(_ config: JSONValue, at path: FilePath) {
        location = path
        modelType = config["model_type"]?.stringValue
        isQuantized = ["quantization_config", "compression_config"].contains { key in
            config[key].map { $0 != .null } ?? false
        }
        var values: [String: String] = [:]
        Self.collect(config, at: "", into: &values)
        self.values = values
    }

    /// The values by their paths, also those inside objects.
    private static func collect(_ value: JSONValue, at path: String, into values: inout [String: String]) {
        guard case .object(let members) = value else {
            values[path] = value.text()
            return
        }
        for member in members {
            let key = path.isEmpty ? member.key : "\(path).\(member.key)"
            switch member.key {
            case "rope_parameters", "rope_scaling": collectRotation(member.value, below: path, into: &values)
            default: collect(member.value, at: key, into: &values)
            }
        }
    }

    /// Version 5 of transformers has one object for rotary positions; earlier versions have a base frequency and a
    /// scaling.
    private static func collectRotation(_ value: JSONValue, below path: String, into values: inout [String: String]) {
        func key(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
        var scaling: [JSONValue.Member] = []
        for member in value.members ?? [] {
            switch member.key {
            case "rope_theta", "partial_rotary_factor": values[key(member.key)] = member.value.text()
            case "type", "rope_type": scaling.append(.init("rope_type", member.value))
            default: scaling.append(member)
            }
        }
        let isNone = scaling.allSatisfy { $0.key == "rope_type" && $0.value.stringValue == "default" }
        var seen: Set<String> = []
        let distinct = scaling.filter { seen.insert($0.key).inserted }.sorted { $0.key < $1.key }
        values[key("rope_scaling")] = isNone ? "null" : JSONValue.object(distinct).text()
    }
}
