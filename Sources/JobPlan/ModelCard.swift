import TaskArithmetic

/// The texts beside a merged checkpoint or adapter that tell how it was made.
///
/// Source: the model cards of the Hugging Face Hub, with the parts that mergekit writes, and PEFT for an adapter.
public struct ModelCard: Sendable {
    private static let cardName = "README.md"
    private static let sourceName = "mergekit_config.yml"

    private let spec: JobSpec
    private let source: String
    private let title: String
    /// The base of an adapter, as the adapter's settings name it.
    private let adapterBase: String?

    /// Describes a job.
    ///
    /// - Parameters:
    ///   - spec: The job.
    ///   - source: The job file's text.
    ///   - title: The model's name.
    ///   - adapterBase: The base of an adapter, as the adapter's settings name it; nil for a checkpoint.
    public init(of spec: JobSpec, source: String, title: String, adapterBase: String? = nil) {
        (self.spec, self.source, self.title, self.adapterBase) = (spec, source, title, adapterBase)
    }

    /// The names of the files that a job writes.
    public static func names(of spec: JobSpec) -> [String] {
        (spec.checkpoint.hasModelCard ? [cardName] : []) + (spec.checkpoint.layout == .flat ? [sourceName] : [])
    }

    /// The texts of the files that the job writes, by name.
    public var files: [String: String] {
        let texts = [Self.cardName: text, Self.sourceName: source]
        return Dictionary(uniqueKeysWithValues: Self.names(of: spec).map { ($0, texts[$0] ?? "") })
    }

    private var isAdapter: Bool { spec.checkpoint.adapterRank != nil }

    private var models: [String] {
        var seen: Set<String> = []
        return ([spec.baseModel.value] + spec.tasks.compactMap { $0.model?.value }).filter { seen.insert($0).inserted }
    }

    private var text: String {
        let method = spec.method
        let link = method.paper.arXiv.map { "[\(method.name)](https://arxiv.org/abs/\($0))" } ?? method.name
        let base = method.needsBase ? ", with \(spec.baseModel.value) as the base" : ""
        let merged = models.filter { !method.needsBase || $0 != spec.baseModel.value }.map { "* \($0)" }
        let fence = source.contains("```") ? "~~~~" : "```"
        return """
            ---
            \(metadata)
            ---
            # \(title)

            This is \(isAdapter ? "a LoRA adapter, " : "")a merge of pre-trained models, made with kfacd.

            ## Merge Details

            ### Merge Method

            This model was merged by the method \(link)\(base).

            ### Models Merged

            \(merged.joined(separator: "\n"))

            ### Configuration

            \(fence)yaml
            \(source.trimmingSuffix(while: \.isNewline))
            \(fence)

            """
    }

    /// The front matter; the Hub knows models by `owner/name`, so paths of this machine are left out, as in mergekit.
    private var metadata: String {
        guard !isAdapter else { return adapterMetadata }
        let known = models.filter(Self.isKnown)
        let list = known.isEmpty ? " []" : known.map { "\n- \(Self.quoted($0))" }.joined()
        return "base_model:\(list)\nlibrary_name: transformers\ntags:\n- kfacd\n- merge"
    }

    /// The front matter of an adapter, whose base is the one model that loads it.
    private var adapterMetadata: String {
        let base = adapterBase ?? ""
        let isKnown = !base.isEmpty && Self.isKnown(base)
        return (isKnown ? "base_model: \(Self.quoted(base))\n" : "") + "library_name: peft\ntags:\n"
            + (isKnown ? "- \(Self.quoted("base_model:adapter:\(base)"))\n" : "") + "- lora\n- kfacd\n- merge"
    }

    private static func isKnown(_ model: String) -> Bool {
        !["/", "~", "."].contains { model.hasPrefix($0) } && model.count { $0 == "/" } <= 1
    }

    /// A text in single quotes, in which YAML knows no escape but the doubled quote.
    private static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while isRemoved: (Character) -> Bool) -> SubSequence {
        var end = endIndex
        while end > startIndex, isRemoved(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
