public import FileAccess
import Identifiers
import JSONText
import NameMatching
public import SystemPackage

/// The settings of a LoRA adapter: what the factors in its file multiply to.
///
/// Source: PEFT, `peft/tuners/lora/config.py`.
public struct AdapterConfiguration {
    /// The name of the file.
    public static let fileName = "adapter_config.json"
    /// The name of the file of tensors beside it.
    public static let tensorsName = "adapter_model.safetensors"
    /// The size limit of the file, far above any real configuration.
    private static let byteLimit = 16 << 20
    /// The most bytes of a pattern, far above any real one.
    private static let patternLimit = 4096
    /// The most steps of matching all modules with all patterns: some hundred times those of the largest real adapters,
    /// and about a second.
    public static let matchingSteps = 1 << 27

    /// The file.
    public let location: FilePath
    /// Its bytes.
    public let bytes: [UInt8]
    /// Whether the factors' product is transposed before it is added, as for Conv1D of transformers.
    public let isTransposed: Bool
    /// The ends of the paths of the modules that were trained; empty where the settings say it in another way.
    public let targetModules: [String]
    /// The list of modules to train, also where other settings restrict it; empty where the settings have no list.
    private let namedModules: [String]
    /// The layers that were trained; empty for all.
    private let layers: Set<Int>
    /// The names before the numbers of layers; empty for any.
    private let layerNames: Set<String>
    /// The biases of the model that were trained too.
    public let biases: Biases
    /// Whether LoRA's B has a bias in every module.
    public let hasFactorBiases: Bool
    /// Ends of the paths of modules that were trained whole, and are saved whole.
    public let savedModules: [String]
    private let alpha: Double
    /// The modules with an α of their own; the first that fits counts.
    private let alphas: [ModuleValue]
    /// r as stated; `nil` if the file does not state it.
    private let rank: Double?
    /// The modules with an r of their own; the first that fits counts.
    private let ranks: [ModuleValue]
    /// Whether α is divided by √r.
    private let isRankStabilized: Bool

    /// A value of the modules whose paths end as a pattern says.
    fileprivate typealias ModuleValue = (modules: RegularPattern, value: Double)

    /// Which biases of the model were trained, and are saved with the adapter.
    public enum Biases: String, CaseIterable, Sendable {
        /// None.
        case none
        /// Those of all modules.
        case all
        /// Those of the modules that have factors.
        case adapted = "lora_only"
    }

    /// Reads the settings of an adapter.
    ///
    /// - Parameters:
    ///   - directory: The adapter's directory.
    ///   - roots: The directories below which files may be read.
    /// - Throws: ``JobFileError`` when the file cannot be read or is no object, and for each setting with which the
    ///   update would be another one.
    public init(in directory: FilePath, within roots: FileRoots) throws(JobFileError) {
        let path = directory.appending(Self.fileName)
        let bytes = try wrapping { () throws(FileError) in
            try WholeFile.read(path, limit: Self.byteLimit, within: roots)
        }
        let config = try wrapping { () throws(JSONError) in try JSONValue(parsing: bytes, file: path) }
        guard let members = config.members else { throw .noConfiguration(file: path, found: config.kind) }
        let settings = AdapterSettings(file: path, values: members)
        location = path
        self.bytes = bytes
        var problems = settings.refusals
        func reading<Value>(_ initial: Value, _ read: () throws(JobFileError) -> Value) -> Value {
            do throws(JobFileError) { return try read() } catch { problems.append(error) }
            return initial
        }
        isTransposed = reading(false) { () throws(JobFileError) in try settings.truth("fan_in_fan_out") }
        isRankStabilized = reading(false) { () throws(JobFileError) in try settings.truth("use_rslora") }
        alpha = reading(8) { () throws(JobFileError) in try settings.number("lora_alpha", 8) }
        alphas = reading([]) { () throws(JobFileError) in
            try settings.patterns("alpha_pattern", limit: Self.patternLimit)
        }
        rank = reading(nil) { () throws(JobFileError) in try settings.rank() }
        ranks = reading([]) { () throws(JobFileError) in
            try settings.patterns("rank_pattern", limit: Self.patternLimit)
        }
        biases = reading(.none) { () throws(JobFileError) in try settings.biases() }
        hasFactorBiases = reading(false) { () throws(JobFileError) in try settings.truth("lora_bias") }
        savedModules = reading([]) { () throws(JobFileError) in try settings.texts("modules_to_save") }
        targetModules = settings.targets
        namedModules = settings.namedModules
        layers = settings.layers
        layerNames = settings.layerNames
        if let error = JobFileError.bundle(problems) { throw error }
    }

    /// Whether only some layers were trained.
    public var restrictsLayers: Bool { !layers.isEmpty }

    /// Whether the settings name a module for training; a module that they do not name is not loaded by PEFT.
    ///
    /// Source: PEFT, `peft/tuners/tuners_utils.py` (`check_target_module_exists`).
    ///
    /// - Parameter module: The module's path, such as `model.layers.0.self_attn.q_proj`.
    /// - Returns: False for one that the list lacks, or of another layer; true if the settings have no list.
    public func names(_ module: String) -> Bool {
        guard !namedModules.isEmpty else { return true }
        if namedModules.contains(module) { return true }
        guard namedModules.contains(where: { module.hasSuffix(".\($0)") }) else { return false }
        guard !layers.isEmpty else { return true }
        let parts = module.split(separator: ".", omittingEmptySubsequences: false)
        let place = parts.indices.dropFirst(2).last { place in
            place < parts.count - 1 && Int(parts[place]) != nil
                && (layerNames.isEmpty || layerNames.contains(String(parts[place - 1])))
        }
        return place.flatMap { Int(parts[$0]) }.map(layers.contains) ?? false
    }

    /// α of modules: the value of the first pattern that fits the end of a module's path, or else `lora_alpha`.
    ///
    /// - Parameters:
    ///   - modules: The modules' paths in the model, such as `model.layers.0.self_attn.q_proj`.
    ///   - steps: The most steps of matching.
    /// - Returns: α by module.
    /// - Throws: ``JobFileError`` for patterns that take more steps.
    public func alphas(
        of modules: some Collection<String>, steps: Int = matchingSteps
    ) throws(JobFileError) -> [String: Double] {
        try values(of: modules, alphas, "alpha_pattern", steps).mapValues { $0 ?? alpha }
    }

    /// r of modules: the value of the first pattern that fits the end of a module's path, or else `r`.
    ///
    /// - Parameters:
    ///   - modules: The modules' paths in the model.
    ///   - steps: The most steps of matching.
    /// - Returns: r by module; modules for which the file states none are left out.
    /// - Throws: ``JobFileError`` for patterns that take more steps.
    public func ranks(
        of modules: some Collection<String>, steps: Int = matchingSteps
    ) throws(JobFileError) -> [String: Double] {
        try values(of: modules, ranks, "rank_pattern", steps).compactMapValues { $0 ?? rank }
    }

    private func values(
        of modules: some Collection<String>, _ patterns: [ModuleValue], _ key: String, _ steps: Int
    ) throws(JobFileError) -> [String: Double?] {
        var left = steps
        var found: [String: Double?] = [:]
        for module in modules {
            let path = Array(module.unicodeScalars)
            found.updateValue(
                patterns.first { $0.modules.matchesEnd(ofPath: path, steps: &left) }?.value, forKey: module)
            guard left > 0 else {
                throw .adapterSetting(
                    file: location, key: key, found: "\(patterns.count) patterns",
                    expected: "patterns that fit \(modules.count) modules in \(steps) steps; shorter ones, or fewer")
            }
        }
        return found
    }

    /// The factor of a module's product: α/r, or α/√r.
    ///
    /// - Parameters:
    ///   - alpha: The module's α.
    ///   - rank: The rank of its factors.
    /// - Returns: The factor.
    public func scale(alpha: Double, rank: Int) -> Double {
        alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
    }
}

/// The values of an adapter's settings.
private struct AdapterSettings {
    let file: FilePath
    let values: [JSONValue.Member]

    /// Settings under which the base was changed, or the update is no product of two factors; any value but null, false
    /// and an empty one is refused.
    private static let refused = [
        "use_dora": "false; the update of DoRA is not of low rank",
        "layer_replication": "null; copies of layers are not in the base",
        "use_qalora": "false", "use_bdlora": "null", "arrow_config": "null", "alora_invocation_tokens": "null",
        "monteclora_config": "null", "use_kasa": "false", "kasa_config": "null", "velora_config": "null",
        "target_parameters": "null; factors of experts are not read", "trainable_token_indices": "null",
        "ensure_weight_tying": "false",
    ]
    /// Settings that are read here, or that change only how the adapter was trained, is loaded or is shown.
    private static let known: Set<String> = [
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "eva_config",
        "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
        "layers_to_transform", "loftq_config", "lora_alpha", "lora_bias", "lora_dropout", "lora_ga_config",
        "megatron_config", "megatron_core", "merge_weights", "modules_to_save", "peft_type", "peft_version",
        "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type",
        "use_rslora",
    ]
    /// The ways to begin that leave the base as it is.
    private static let beginnings: Set<String> = ["gaussian", "eva", "orthogonal"]

    private subscript(key: String) -> JSONValue? {
        values.first { $0.key == key }.flatMap { $0.value == .null ? nil : $0.value }
    }

    private func error(_ key: String, _ value: JSONValue, _ expected: String) -> JobFileError {
        .adapterSetting(file: file, key: key, found: value.text(), expected: expected)
    }

    /// The list of trained modules; empty for a pattern, and where other settings restrict the list.
    var targets: [String] {
        let restricts = ["exclude_modules", "layers_to_transform", "layers_pattern"]
        return values.allSatisfy { !restricts.contains($0.key) || Self.isEmpty($0.value) } ? namedModules : []
    }

    /// The list of modules, whatever restricts it.
    var namedModules: [String] {
        guard case .array(let elements)? = self["target_modules"] else { return [] }
        return elements.compactMap(\.stringValue)
    }

    /// The layers that were trained: one, or a list.
    var layers: Set<Int> {
        func numbers(_ value: JSONValue?) -> [Int] {
            switch value {
            case .number(let text)?: Int(text).map { [$0] } ?? []
            case .array(let elements)?: elements.flatMap { numbers($0) }
            default: []
            }
        }
        return Set(numbers(self["layers_to_transform"]))
    }

    /// The names before the numbers of layers: one, or a list.
    var layerNames: Set<String> {
        switch self["layers_pattern"] {
        case .string(let name)? where !name.isEmpty: [name]
        case .array(let elements)?: Set(elements.compactMap(\.stringValue))
        default: []
        }
    }

    var refusals: [JobFileError] {
        var errors: [JobFileError] = []
        // PEFT has a default for a number that is left out, but none for one that is null.
        for member in values where ["lora_alpha", "r"].contains(member.key) && member.value == .null {
            errors.append(error(member.key, .null, "a number"))
        }
        let kind = self["peft_type"] ?? .null
        if kind.stringValue != "LORA" { errors.append(error("peft_type", kind, "\"LORA\"")) }
        for member in values where Self.refused[member.key] != nil && !Self.isEmpty(member.value) {
            errors.append(error(member.key, member.value, Self.refused[member.key] ?? "null"))
        }
        for member in values
        where Self.refused[member.key] == nil && !Self.known.contains(member.key) && !Self.isEmpty(member.value) {
            errors.append(
                error(
                    member.key.excerpt, member.value,
                    "no setting that is unknown here, because it may change the update; remove it if it does not"))
        }
        switch self["init_lora_weights"] {
        case nil, .bool: break
        case .string(let name) where Self.beginnings.contains(name): break
        case let value?:
            errors.append(
                error("init_lora_weights", value, "true, false or one that leaves the base as it is (gaussian, eva)"))
        }
        return errors
    }

    private static func isEmpty(_ value: JSONValue) -> Bool {
        switch value {
        case .null, .bool(false), .array([]), .object([]), .string(""): true
        default: false
        }
    }

    func truth(_ key: String) throws(JobFileError) -> Bool {
        guard let value = self[key] else { return false }
        guard case .bool(let truth) = value else { throw error(key, value, "true or false") }
        return truth
    }

    func number(_ key: String, _ absent: Double) throws(JobFileError) -> Double {
        guard let value = self[key] else { return absent }
        return try finite(key, value)
    }

    private func finite(_ key: String, _ value: JSONValue) throws(JobFileError) -> Double {
        guard case .number(let text) = value, let number = Double(text), number.isFinite else {
            throw error(key, value, "a finite number")
        }
        return number
    }

    /// r, if it is stated.
    func rank() throws(JobFileError) -> Double? {
        guard let value = self["r"] else { return nil }
        let number = try finite("r", value)
        guard number >= 1 else { throw error("r", value, "at least 1") }
        return number
    }

    func biases() throws(JobFileError) -> AdapterConfiguration.Biases {
        guard let value = self["bias"] else { return .none }
        guard let biases = value.stringValue.flatMap(AdapterConfiguration.Biases.init) else {
            throw error("bias", value, AdapterConfiguration.Biases.allCases.map { "\"\($0.rawValue)\"" }.listed())
        }
        return biases
    }

    func texts(_ key: String) throws(JobFileError) -> [String] {
        guard let value = self[key] else { return [] }
        guard case .array(let elements) = value else { throw error(key, value, "a list of texts") }
        let texts = elements.compactMap(\.stringValue).filter { !$0.isEmpty }
        guard texts.count == elements.count else { throw error(key, value, "a list of texts") }
        return texts
    }

    /// The modules with a value of their own, in the order of the file.
    ///
    /// PEFT takes a key as a regular expression for the end of a module's path.
    func patterns(_ setting: String, limit: Int) throws(JobFileError) -> [AdapterConfiguration.ModuleValue] {
        guard let value = self[setting] else { return [] }
        guard let members = value.members else { throw error(setting, value, "an object of patterns") }
        var values: [AdapterConfiguration.ModuleValue] = []
        for member in members {
            let key = "\(setting).\(member.key.excerpt)"
            let expected = "a regular expression for the paths of modules as its key"
            guard member.key.utf8.count <= limit else {
                throw error(key, member.value, "\(expected), of at most \(limit) bytes")
            }
            let modules: RegularPattern
            do throws(RegularPattern.SyntaxProblem) { modules = try RegularPattern(member.key) } catch let problem {
                throw error(key, member.value, "\(expected); \(problem)")
            }
            values.append((modules, try finite(key, member.value)))
        }
        return values
    }
}
