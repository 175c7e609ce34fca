import Identifiers

/// Wrappers that put a module of their own before the names of a model's tensors, and how to save without them.
enum ModelWrapper: String, CaseIterable {
    case dataParallel = "module"
    case compiled = "_orig_mod"
    case adapter = "base_model.model"
    case adaptedLayer = "base_layer"
    case shardedDataParallel = "_fsdp_wrapped_module"
    case fabric = "_forward_module"
    case checkpointing = "_checkpoint_wrapped_module"
    case module = "model"

    /// The wrappers whose names no model gives to modules of its own.
    static let distinct = allCases.filter { $0 != .module }

    private var cause: String {
        switch self {
        case .dataParallel: "by torch.nn.DataParallel or DistributedDataParallel"
        case .compiled: "by torch.compile"
        case .adapter, .adaptedLayer: "by PEFT"
        case .shardedDataParallel: "by FullyShardedDataParallel"
        case .fabric: "by Lightning Fabric"
        case .checkpointing: "by activation checkpointing"
        case .module: "by a module that has it as \"model\""
        }
    }

    private var remedy: String? {
        switch self {
        case .dataParallel: "Save model.module"
        case .compiled: "Save model._orig_mod"
        case .adapter, .adaptedLayer: "Merge the adapter first (model.merge_and_unload()), then save"
        case .module: "Save the inner model"
        case .shardedDataParallel, .fabric, .checkpointing: nil
        }
    }

    /// The wrappers in a text of modules, outermost first; `nil` when the text contains anything else.
    private static func all(in modules: String) -> [ModelWrapper]? {
        var rest = modules[...]
        var found: [ModelWrapper] = []
        while !rest.isEmpty {
            guard let next = allCases.first(where: { rest == $0.rawValue || rest.hasPrefix($0.rawValue + ".") }) else {
                return nil
            }
            found.append(next)
            rest = rest.dropFirst(next.rawValue.count + 1)
        }
        return found.isEmpty ? nil : found
    }

    /// ` It was saved from a model that is wrapped by torch.compile. Save model._orig_mod, or write …`.
    ///
    /// For unknown modules only the writing.
    static func advice(for modules: [String], _ origin: NameMapping.Origin, writing: String) -> String {
        guard let wrappers = all(in: modules.joined(separator: ".")) else {
            return " \(origin.remedy("Save it without them")), or \(writing)."
        }
        var causes: [String] = []
        for wrapper in wrappers where !causes.contains(wrapper.cause) { causes.append(wrapper.cause) }
        let start = " \(origin.verb) a model that is wrapped \(causes.joined(separator: ", "))."
        let remedy = origin.remedy(wrappers.compactMap(\.remedy).first ?? "Save the inner model")
        return "\(start) \(remedy), or \(writing)."
    }
}

extension NameMapping {
    /// How the names of the second set arose, which decides what to do about them.
    enum Origin {
        /// In a checkpoint, which can be saved again.
        case saved
        /// In captures, factors or partial sums.
        case captured

        fileprivate var verb: String {
            switch self {
            case .saved: "It was saved from"
            case .captured: "They are of"
            }
        }

        /// What to do, where a checkpoint can be saved in another way.
        fileprivate func remedy(_ saved: String) -> String {
            switch self {
            case .saved: saved
            case .captured: "Name them as the base does"
            }
        }
    }

    /// The change and the remedy, as a sentence without its place.
    ///
    /// - Parameters:
    ///   - total: The number of differing names.
    ///   - what: The named things, in the plural: `tensors`.
    ///   - owner: The owner of the second set: `the checkpoint of task "a"`.
    ///   - first: The owner of the first set: `the base`.
    ///   - kept: Names of the second set that the first has too.
    ///   - origin: How the names of the second set arose.
    /// - Returns: Whole sentences, without the place at the start. They propose the entries of `rename` that undo the
    ///   change, if there are such entries.
    func sentence(
        of total: Int, _ what: String, of owner: String, and first: String, keeping kept: [String] = [],
        origin: Origin = .saved
    ) -> String {
        let count = names.count == total ? "all \(total)" : "\(names.count) of \(total)"
        let start = "\(count) \(what) that differ by name in \(owner)"
        let writing = proposal(keeping: kept).map { "write \($0) in the model's entry" } ?? "list them under \"rename\""
        switch change {
        case .beginning("", let new):
            // A name that already begins with `new` then begins with it twice, as in model.model.
            let isDoubled = names.keys.contains { $0.hasPrefix(new) }
            return "\(start) begin with \"\(new.excerpt)\""
                + (isDoubled ? " once more than those of \(first)." : ", those of \(first) do not.")
                + ModelWrapper.advice(for: [String(new.dropLast())], origin, writing: writing)
        case .beginning(let old, ""):
            let isDoubled = names.values.contains { $0.hasPrefix(old) }
            let difference =
                isDoubled
                ? "begin with \"\(old.excerpt)\" once less than those of \(first)"
                : "lack the beginning \"\(old.excerpt)\" of the names in \(first)"
            return "\(start) \(difference). \(origin.remedy("Save both in the same way")), or \(writing)."
        case .inserted(let parts):
            return "\(start) hold \(parts.quotedList), those of \(first) do not."
                + ModelWrapper.advice(for: parts, origin, writing: writing)
        case .removed(let part):
            return
                "\(start) lack \"\(part.excerpt)\", which is in the names of \(first). "
                + origin.remedy("Save both in the same way") + ", or \(writing)."
        case .beginning(let old, let new), .end(let old, let new), .part(let old, let new):
            let verb =
                switch change {
                case .beginning: "begin with"
                case .end: "end with"
                default: "have"
                }
            return
                "\(start) \(verb) \"\(new.excerpt)\" where \(first) has \"\(old.excerpt)\". "
                + origin.remedy("Save both with the same version of the same library") + ", or \(writing)."
        }
    }
}
