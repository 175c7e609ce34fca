import JobPlan

/// Compares the sizes that a model's `config.json` states with its tensors, where the tensors' names are certain.
///
/// Source: the decoders of Hugging Face transformers, which have these names.
struct StatedSizes {
    /// The names of one kind of decoder.
    private struct Names {
        /// The beginning of the names of the decoder's tensors.
        let decoder: String
        /// The beginning of the keys.
        let keys: String
    }

    private static let decoders = [
        Names(decoder: "model.", keys: ""), Names(decoder: "model.language_model.", keys: "text_config."),
        Names(decoder: "language_model.model.", keys: "text_config."),
    ]
    /// Keys of models that store layers behind those that they count, or other embeddings.
    private static let exceptions = ["num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"]

    private let checkpoint: CheckpointInventory

    init(of checkpoint: CheckpointInventory) { self.checkpoint = checkpoint }

    /// A sentence for each stated size that no tensor has.
    var contradictions: [String] {
        guard let values = checkpoint.configuration?.values,
            let names = Self.decoders.first(where: { checkpoint.tensors["\($0.decoder)embed_tokens.weight"] != nil })
        else { return [] }
        func stated(_ key: String) -> Int? { values["\(names.keys)\(key)"].flatMap { Int($0) } }
        var found: [String] = []
        func compare(_ key: String, _ size: Int?, _ place: String) {
            guard let size, let stated = stated(key), stated != size else { return }
            found.append(
                "\"\(names.keys)\(key)\" is \(stated), but \(place); the merged model has the same config.json. Copy the "
                    + "model's own config.json beside its tensors.")
        }
        let embedding = "\(names.decoder)embed_tokens.weight"
        let norm = "\(names.decoder)norm.weight"
        let shapes = (checkpoint.tensors[embedding]?.shape ?? [], checkpoint.tensors[norm]?.shape ?? [])
        // Some models with images have rows beyond the vocabulary.
        let isExtended = !names.keys.isEmpty && stated("vocab_size").map { $0 < shapes.0.first ?? 0 } ?? false
        if shapes.0.count == 2, !isExtended {
            compare("vocab_size", shapes.0[0], "\"\(embedding)\" has \(shapes.0[0]) rows")
        }
        if shapes.1.count == 1 {
            compare("hidden_size", shapes.1[0], "\"\(norm)\" has \(shapes.1[0]) elements")
        }
        let count = layerCount(below: "\(names.decoder)layers.")
        if count > 0, !values.keys.contains(where: { key in Self.exceptions.contains(where: key.hasSuffix) }) {
            compare("num_hidden_layers", count, "the tensors are of \(count) layers")
        }
        return found
    }

    /// The number of layers that have tensors.
    private func layerCount(below start: String) -> Int {
        Set(
            checkpoint.tensors.keys.compactMap { name in
                name.hasPrefix(start) ? name.dropFirst(start.count).prefix { $0 != "." }.description : nil
            }.compactMap { Int($0) }
        ).count
    }
}
