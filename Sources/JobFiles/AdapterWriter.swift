import FileAccess
import JSONText
public import Safetensors
public import SystemPackage

/// Writes a LoRA adapter as PEFT saves it: its settings, and one file with the factors of each module.
///
/// α is r in every module, so that the update is B · A itself.
///
/// Source: PEFT, `peft/tuners/lora/config.py` and `peft/utils/save_and_load.py`.
public final class AdapterWriter: Sendable {
    /// A module with its factors.
    public struct Module: Equatable, Sendable {
        /// The module's path in the model.
        public let name: String
        /// r.
        public let rank: Int
        /// Columns of A.
        public let inputs: Int
        /// Rows of B.
        public let outputs: Int
        /// Whether it is an embedding.
        public let isEmbedding: Bool

        /// Describes a module.
        public init(name: String, rank: Int, inputs: Int, outputs: Int, isEmbedding: Bool) {
            self.name = name
            self.rank = rank
            self.inputs = inputs
            self.outputs = outputs
            self.isEmbedding = isEmbedding
        }

        /// The name of A's tensor.
        public var downName: String {
            "base_model.model.\(name).\(isEmbedding ? "lora_embedding_A" : "lora_A.weight")"
        }
        /// The name of B's tensor.
        public var upName: String {
            "base_model.model.\(name).\(isEmbedding ? "lora_embedding_B" : "lora_B.weight")"
        }
    }

    /// The names of the files.
    public static let fileNames = [AdapterConfiguration.fileName, AdapterConfiguration.tensorsName]

    private let directory: FilePath
    private let texts: [String: String]
    private let writer: ShardedSafetensorsWriter

    /// Begins an adapter.
    ///
    /// - Parameters:
    ///   - directory: An existing directory.
    ///   - modules: The modules, at least one; their names differ.
    ///   - dataType: The type of the factors.
    ///   - isFanInFanOut: Whether weights are stored as `[in, out]`.
    ///   - baseModel: The model that it changes, by a name that does not depend on a working directory.
    ///   - texts: Further files, by name.
    ///   - provenance: The origin of the adapter, a JSON text for the metadata.
    /// - Throws: ``JobFileError``; nothing is left behind.
    public init(
        directory: FilePath, modules: [Module], dataType: TensorDataType, isFanInFanOut: Bool, baseModel: String,
        texts: [String: String] = [:], provenance: String
    ) throws(JobFileError) {
        let tensors = modules.flatMap { module in
            [
                TensorDescription(
                    name: module.downName, dataType: dataType, shape: [module.rank, module.inputs]),
                TensorDescription(
                    name: module.upName, dataType: dataType, shape: [module.outputs, module.rank]),
            ]
        }
        let layout = ShardLayout(
            shards: [ShardLayout.Shard(fileName: AdapterConfiguration.tensorsName, tensors: tensors)], indexName: nil)
        let settings = Self.settings(modules, isFanInFanOut: isFanInFanOut, baseModel: baseModel)
        self.directory = directory
        self.texts = texts.merging([AdapterConfiguration.fileName: settings.text(indent: 2) + "\n"]) { $1 }
        writer = try wrapping { () throws(SafetensorsError) in
            try ShardedSafetensorsWriter(
                directory: directory, layout: layout,
                metadata: ["format": "pt", MetadataKey.provenance: provenance], isHashed: true)
        }
    }

    /// The name of a model for PEFT: its name at the Hub if it lies in the Hub's cache, else its absolute path.
    ///
    /// A path as the job file has it would be right in the job file's directory alone.
    ///
    /// - Parameter location: The model's absolute path.
    /// - Returns: The name.
    public static func name(ofModelAt location: String) -> String {
        let path = FilePath(location)
        let components = path.components.map(\.string)
        let start = "models--"
        // …/models--owner--name/snapshots/revision
        guard components.count >= 3, components[components.count - 2] == "snapshots",
            components[components.count - 3].hasPrefix(start)
        else { return path.string }
        return String(components[components.count - 3].dropFirst(start.count)).replacing(
            "--", with: "/", maxReplacements: 1)
    }

    /// PEFT's settings.
    ///
    /// Keys of `rank_pattern` are regular expressions; each is anchored and escaped, so that it names one module.
    private static func settings(_ modules: [Module], isFanInFanOut: Bool, baseModel: String) -> JSONValue {
        let rank = modules.map(\.rank).max() ?? 1
        let ranks = JSONValue.object(
            modules.filter { $0.rank != rank }.map { module in
                .init("^\(escaped(module.name))", .number("\(module.rank)"))
            })
        return .object([
            .init("alpha_pattern", ranks), .init("base_model_name_or_path", .string(baseModel)),
            .init("bias", .string("none")), .init("fan_in_fan_out", .bool(isFanInFanOut)),
            .init("inference_mode", .bool(true)), .init("init_lora_weights", .bool(true)),
            .init("lora_alpha", .number("\(rank)")), .init("lora_dropout", .number("0.0")),
            .init("modules_to_save", .null), .init("peft_type", .string("LORA")), .init("r", .number("\(rank)")),
            .init("rank_pattern", ranks),
            .init("target_modules", .array(modules.map { .string($0.name) })), .init("task_type", .null),
            .init("use_dora", .bool(false)), .init("use_rslora", .bool(false)),
        ])
    }

    private static func escaped(_ name: String) -> String {
        var text = ""
        for scalar in name.unicodeScalars {
            if scalar.isASCII, !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar), scalar != "_" {
                text += "\\"
            }
            text.unicodeScalars.append(scalar)
        }
        return text
    }

    /// Writes a factor.
    ///
    /// - Parameters:
    ///   - bytes: The whole factor in the adapter's type; not kept.
    ///   - name: ``Module/upName`` or ``Module/downName`` of a module.
    /// - Throws: ``JobFileError``.
    public func write(_ bytes: RawSpan, to name: String) throws(JobFileError) {
        try wrapping { () throws(SafetensorsError) in try writer.write(bytes, to: name) }
    }

    /// What the file of tensors held when it was finished.
    public var finished: [SafetensorsWriter.Finished] { writer.finished }

    /// Writes the settings and the texts, and gives the file of tensors its name.
    ///
    /// - Throws: ``JobFileError``.
    public func finish() throws(JobFileError) {
        for (name, text) in texts {
            try wrapping { () throws(FileError) in
                try WholeFile.write(Array(text.utf8), to: directory.pushing(FilePath(name)))
            }
        }
        try wrapping { () throws(SafetensorsError) in try writer.finish() }
    }
}
