public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a regularizer file: factors accumulated over tasks for one target.
///
/// Source: DESIGN section 2.2 and 3.
public struct RegularizerMetadata: Equatable, Sendable {
    /// The task whose own factors are left out, or `all`.
    public var target: String
    /// `accumulated`, `optimal`, `per_task` or `pseudo_rows`.
    public var form: String
    /// `paper` or `mean`.
    public var scale: String
    /// `none`, or `trace` if each task's B was scaled to the exact trace; files without it have `none`.
    public var balance = "none"
    /// `mean`, or `sum` if F was summed like B; files without it have `mean`.
    public var oneDimensional = "mean"
    /// The tasks summed, in the order of the sum.
    public var tasks: [TaskName]
    /// λ_t of every task summed.
    public var lambda: [String: Double]
    /// T', the number of tasks summed.
    public var summedTaskCount: Int
    /// By layer: the tasks without curvature in it.
    ///
    /// The layer's sums run over the others, whose λ_t there sum to 1.
    public var missingTasks: [String: [TaskName]]
    /// `tak`, `expand` or `reduce`; nil if the file does not state it.
    public var normalization: String?
    /// Whether A's last row and column belong to the bias, by layer.
    public var hasBias: [String: Bool]
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?
    /// The strength by which B or F is multiplied, by layer or parameter; only those of the job's groups.
    public var strengths: [String: Double]
    /// The sums behind the products; only for the form `optimal`.
    public var optimum: Optimum?
    /// The joint rows of the file; only for the form `pseudo_rows`.
    public var jointRows: JointRowsMetadata?
    /// The order of the dimensions of the base's weights, by layer, where an input declared it.
    public var layouts: [String: WeightLayout] = [:]

    /// Describes a regularizer.
    public init(
        target: String,
        form: String,
        scale: String,
        tasks: [TaskName],
        lambda: [String: Double],
        normalization: String?,
        hasBias: [String: Bool] = [:],
        baseDigest: BlobDigest? = nil,
        strengths: [String: Double] = [:],
        optimum: Optimum? = nil,
        missingTasks: [String: [TaskName]] = [:]
    ) {
        self.target = target
        self.form = form
        self.scale = scale
        self.tasks = tasks
        self.lambda = lambda
        self.summedTaskCount = tasks.count
        self.normalization = normalization
        self.hasBias = hasBias
        self.baseDigest = baseDigest
        self.strengths = strengths
        self.optimum = optimum
        self.missingTasks = missingTasks
    }

    /// Reads a file's metadata.
    ///
    /// - Throws: ``JobFileError`` for another `format`, a missing value, or a value of the wrong type.
    public init(parsing metadata: [String: String], file: FilePath) throws(JobFileError) {
        let reader = MetadataReader(metadata: metadata, file: file)
        try reader.requireFormat(.regularizer)
        self.target = try reader.required(MetadataKey.target, "a task's name or \"all\"")
        self.form = try reader.required(
            MetadataKey.form, "\"accumulated\", \"optimal\", \"per_task\" or \"pseudo_rows\"")
        self.scale = try reader.required(MetadataKey.scale, "\"paper\" or \"mean\"")
        self.balance = metadata[MetadataKey.balance] ?? "none"
        self.oneDimensional = metadata[MetadataKey.oneDimensional] ?? "mean"
        _ = try reader.required(MetadataKey.tasks, "a list of task names")
        let tasks = try reader.strings(MetadataKey.tasks, "a list of task names") ?? []
        self.tasks = tasks.map(TaskName.init(rawValue:))
        self.lambda = try reader.object(MetadataKey.lambda, "an object of numbers by task", \.finiteNumber) ?? [:]
        self.summedTaskCount = try reader.positiveInteger(MetadataKey.summedTaskCount) ?? tasks.count
        self.missingTasks =
            try reader.object(MetadataKey.missingCurvature, "an object of lists of task names") { value in
                guard case .array(let names) = value else { return nil }
                let tasks = names.compactMap { $0.stringValue.map(TaskName.init(rawValue:)) }
                return tasks.count == names.count ? tasks : nil
            } ?? [:]
        self.normalization = metadata[MetadataKey.normalization]
        self.hasBias = try reader.object(MetadataKey.bias, "an object of true and false", \.boolValue) ?? [:]
        self.baseDigest = try reader.digest(MetadataKey.baseDigest)
        self.strengths =
            try reader.object(MetadataKey.strength, "an object of numbers of at least 0", \.nonNegativeNumber) ?? [:]
        self.optimum = try Optimum(reader)
        self.jointRows = try JointRowsMetadata(ofRegularizer: reader)
        self.layouts = try reader.layouts()
    }

    /// The metadata as the strings of a file.
    public var strings: [String: String] {
        var strings = [
            MetadataKey.format: FormatVersion.regularizer.description,
            MetadataKey.target: target,
            MetadataKey.form: form,
            MetadataKey.scale: scale,
            MetadataKey.tasks: JSONValue.array(tasks.map { .string($0.rawValue) }).text(),
            MetadataKey.lambda: JSONValue.sortedObject(lambda) { .number(String($0)) }.text(),
            MetadataKey.summedTaskCount: String(summedTaskCount),
            MetadataKey.bias: JSONValue.sortedObject(hasBias, JSONValue.bool).text(),
        ]
        if !strengths.isEmpty {
            strings[MetadataKey.strength] = JSONValue.sortedObject(strengths) { .number(String($0)) }.text()
        }
        if !missingTasks.isEmpty {
            strings[MetadataKey.missingCurvature] =
                JSONValue.sortedObject(missingTasks) { names in .array(names.map { .string($0.rawValue) }) }.text()
        }
        if balance != "none" { strings[MetadataKey.balance] = balance }
        if oneDimensional != "mean" { strings[MetadataKey.oneDimensional] = oneDimensional }
        strings[MetadataKey.normalization] = normalization
        strings[MetadataKey.baseDigest] = baseDigest?.description
        strings[MetadataKey.layout] = layouts.metadataText
        return strings.merging(optimum?.strings ?? [:]) { _, own in own }
            .merging(jointRows?.stringsOfRegularizer ?? [:]) { _, own in own }
    }
}
