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
    private let alpha: Double
    /// The modules with an α of their own; the first that fits counts.
    private let alphas: [(modules: RegularPattern, value: Double)]
    /// Whether α is divided by √r.
    private let isRankStabilized: Bool

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
        alphas = reading([]) { () throws(JobFileError) in try settings.alphas(patternLimit: Self.patternLimit) }
        if let error = JobFileError.bundle(problems) { throw error }
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
        var left = steps
        var found: [String: Double] = [:]
        for module in modules {
            let path = Array(module.unicodeScalars)
            found[module] = alphas.first { $0.modules.matchesEnd(ofPath: path, steps: &left) }?.value ?? alpha
            guard left > 0 else {
                throw .adapterSetting(
                    file: location, key: "alpha_pattern", found: "\(alphas.count) patterns",
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
    /// The ways to begin that leave the base as it is.
    private static let beginnings: Set<String> = ["gaussian", "eva", "orthogonal"]

    private subscript(key: String) -> JSONValue? {
        values.first { $0.key == key }.flatMap { $0.value == .null ? nil : $0.value }
    }

    private func error(_ key: String, _ value: JSONValue, _ expected: String) -> JobFileError {
        .adapterSetting(file: file, key: key, found: value.text(), expected: expected)
    }

    var refusals: [JobFileError] {
        var errors: [JobFileError] = []
        let kind = self["peft_type"] ?? .null
        if kind.stringValue != "LORA" { errors.append(error("peft_type", kind, "\"LORA\"")) }
        for member in values where Self.refused[member.key] != nil && !Self.isEmpty(member.value) {
            errors.append(error(member.key, member.value, Self.refused[member.key] ?? "null"))
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

    /// The modules with an α of their own, in the order of the file.
    ///
    /// PEFT takes a key as a regular expression for the end of a module's path.
    func alphas(patternLimit: Int) throws(JobFileError) -> [(modules: RegularPattern, value: Double)] {
        guard let value = self["alpha_pattern"] else { return [] }
        guard let members = value.members else { throw error("alpha_pattern", value, "an object of patterns") }
        var alphas: [(modules: RegularPattern, value: Double)] = []
        for member in members {
            let key = "alpha_pattern.\(member.key.excerpt)"
            let expected = "a regular expression for the paths of modules as its key"
            guard member.key.utf8.count <= patternLimit else {
                throw error(key, member.value, "\(expected), of at most \(patternLimit) bytes")
            }
            let modules: RegularPattern
            do throws(RegularPattern.SyntaxProblem) { modules = try RegularPattern(member.key) } catch let problem {
                throw error(key, member.value, "\(expected); \(problem)")
            }
            alphas.append((modules, try finite(key, member.value)))
        }
        return alphas
    }
}
