import Identifiers

/// Changes of the modules above a language model that versions and classes of one library make.
///
/// Several beginnings change at once, so no single change of all names explains them. Source: the conversions of
/// Hugging Face transformers for models of text and images.
enum CompositePrefixes {
    /// An entry of `rename`: a beginning, and the beginning in its place.
    typealias Entry = (from: String, to: String)

    private static let towers = ["vision_tower", "visual", "vision_model", "multi_modal_projector", "image_newline"]

    /// Lists of entries, each applied in its order.
    private static let changes: [[Entry]] = [
        // From version 4.52 on, the parts of a model stand below `model`.
        [("language_model.model.", "model.language_model."), ("language_model.lm_head.", "lm_head.")]
            + towers.map { ("\($0).", "model.\($0).") },
        [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head.")]
            + towers.map { ("model.\($0).", "\($0).") },
        // Some models had the language model's layers directly below `model`.
        [("model.", "model.language_model.")] + towers.map { ("\($0).", "model.\($0).") },
        [("model.language_model.", "model.")] + towers.map { ("model.\($0).", "\($0).") },
    ]

    /// The entries of `rename` that give all strangers the names and shapes of missing tensors, one to one.
    ///
    /// - Parameters:
    ///   - strangers: The tensors that only the model has.
    ///   - missing: The tensors that only the base has.
    ///   - kept: The names that both have, which the entries must not change.
    /// - Returns: The entries in the order of their application; `nil` for none.
    static func entries(
        from strangers: [TensorInventory], to missing: [String: TensorInventory], keeping kept: [String]
    ) -> [Entry]? {
        guard strangers.count == missing.count else { return nil }
        let shapes = Dictionary(strangers.map { ($0.name, $0.shape) }) { first, _ in first }
        return entries(for: strangers.map(\.name), keeping: kept) { missing[$1]?.shape == shapes[$0] }
    }

    /// The entries of `rename` that give all strangers names of a model.
    ///
    /// - Parameters:
    ///   - strangers: The names that the model lacks.
    ///   - known: The model's names.
    ///   - kept: The names that the entries must not change.
    /// - Returns: The entries in the order of their application; `nil` for none.
    static func entries(from strangers: [String], among known: Set<String>, keeping kept: [String]) -> [Entry]? {
        entries(for: strangers, keeping: kept) { known.contains($1) }
    }

    private static func entries(
        for strangers: [String], keeping kept: [String], fits: (_ old: String, _ new: String) -> Bool
    ) -> [Entry]? {
        guard strangers.count > 1 else { return nil }
        for change in changes {
            let used = change.filter { entry in strangers.contains { $0.hasPrefix(entry.from) } }
            let changesKept = kept.contains { name in used.contains { name.hasPrefix($0.from) } }
            guard used.count > 1, !changesKept else { continue }
            let renamed = strangers.map { name in
                used.reduce(name) { $0.hasPrefix($1.from) ? $1.to + $0.dropFirst($1.from.count) : $0 }
            }
            guard Set(renamed).count == renamed.count, zip(strangers, renamed).allSatisfy(fits) else { continue }
            return used.map { ("\($0.from)*", "\($0.to)*") }
        }
        return nil
    }
}
