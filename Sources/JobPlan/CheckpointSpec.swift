/// How a job writes its merged checkpoint: everything under the key `checkpoint`.
public struct CheckpointSpec: Equatable, Sendable {
    /// Where the checkpoint's files are.
    public enum Layout: String, Equatable, Sendable, CaseIterable {
        /// In the directory `merged` of the output directory.
        case directory
        /// In the output directory itself, with the job file as `mergekit_config.yml`.
        case flat
    }

    /// What the merge is written as.
    public enum Form: String, Equatable, Sendable, CaseIterable {
        /// A whole model in the base's layout.
        case full
        /// A LoRA adapter of the base.
        case lora
    }

    /// Where the checkpoint's files are.
    public var layout = Layout.directory
    /// How many singular triplets of each merged vector an adapter keeps; `nil` for a job that writes a whole model.
    public var adapterRank: AdapterRank?
    /// The most parameters of a file; `nil` for the base's files.
    public var shardSize: Int?
    /// Whether the base's tokenizer is copied.
    public var copiesTokenizer = true
    /// Whether a model card, `README.md`, is written.
    public var hasModelCard = false
}

extension CheckpointSpec {
    /// A number of parameters with mergekit's endings K, M and B for thousands, millions and billions; `nil` for
    /// another text.
    public static func parameterCount(_ text: String) -> Int? {
        let factors: [Character: Int] = ["K": 1000, "M": 1_000_000, "B": 1_000_000_000]
        let factor = text.uppercased().last.flatMap { factors[$0] }
        guard let number = Int(factor == nil ? text : String(text.dropLast())), number >= 1 else { return nil }
        let (count, isTooLarge) = number.multipliedReportingOverflow(by: factor ?? 1)
        return isTooLarge ? nil : count
    }
}
