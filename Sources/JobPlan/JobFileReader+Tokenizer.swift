import Identifiers
import NameMatching
import Yams

/// mergekit's two ways to choose a tokenizer.
extension JobFileReader {
    private static let refusedTokenizerKeys = [
        "tokens": "Every token keeps its row of the embedding; list none."
    ]

    /// Reads `tokenizer_source` or `tokenizer`.
    ///
    /// - Parameters:
    ///   - entries: The job's entries.
    ///   - base: The path of the base, or of the model that gives the layout.
    ///   - models: The paths of the models.
    /// - Returns: The tokenizer; `nil` if there is neither key.
    mutating func readTokenizer(_ entries: [String: Node], base: String?, models: [String]) -> TokenizerSpec? {
        let source = entries["tokenizer_source"]
        guard let node = entries["tokenizer"] else {
            return source.flatMap { readTokenizerSource($0, "tokenizer_source", base: base, models: models) }
                .map { TokenizerSpec(source: $0) }
        }
        if source != nil {
            report(node, "\"tokenizer\" stands beside \"tokenizer_source\"; expected one of them. Remove the other.")
        }
        let settings = self.entries(
            node, of: "\"tokenizer\"", keys: ["source", "pad_to_multiple_of"], unsupported: Self.refusedTokenizerKeys,
            nullable: ["source", "pad_to_multiple_of"])
        let multiple = settings["pad_to_multiple_of"].flatMap { count($0, "pad_to_multiple_of") }
        guard let chosen = settings["source"] else {
            return TokenizerSpec(source: Located(.union, at: location(of: node)), rowMultiple: multiple)
        }
        return readTokenizerSource(chosen, "source", base: base, models: models)
            .map { TokenizerSpec(source: $0, rowMultiple: multiple) }
    }

    private mutating func readTokenizerSource(
        _ node: Node, _ key: String, base: String?, models: [String]
    ) -> Located<TokenizerSpec.Source>? {
        guard let written = text(node, key) else { return nil }
        // An earlier spelling of mergekit's.
        let prefix = "model:"
        let name = written.value.hasPrefix(prefix) ? String(written.value.dropFirst(prefix.count)) : written.value
        if ["base", base].contains(name) { return Located(.base, at: written.location) }
        if name == "union" { return Located(.union, at: written.location) }
        guard models.contains(name) else {
            report(
                node,
                "\"\(key)\" is \"\(name.excerpt)\", which is no model of the job; expected base, union, or a model's path."
                    + suggestion(for: name, among: models))
            return nil
        }
        return Located(.model(name), at: written.location)
    }
}
