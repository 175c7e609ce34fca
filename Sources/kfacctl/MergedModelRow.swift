import Identifiers

/// What a model contributed to a merged checkpoint, as the report counts it.
struct MergedModelRow {
    let name: String
    /// The number of its tensors that were merged.
    let merged: Int
    /// The number of those that differ from the base's.
    let differing: Int
    /// The number of its names that no tensor of the output has.
    let unmatched: Int
    /// The first of those names.
    let unmatchedNames: [String]

    /// Reads the report's `merge.models`, in the order of the names.
    static func rows(_ models: Any?) -> [MergedModelRow] {
        (models as? [String: [String: Any]] ?? [:]).sorted { $0.key < $1.key }.map { name, counts in
            MergedModelRow(
                name: name, merged: counts["merged"] as? Int ?? 0, differing: counts["differing"] as? Int ?? 0,
                unmatched: counts["unmatched"] as? Int ?? 0,
                unmatchedNames: counts["unmatched_names"] as? [String] ?? [])
        }
    }

    /// A table of the models, and a note for each that has unmatched names; nil without models.
    static func text(_ models: [MergedModelRow], rowsMax: Int) -> String? {
        guard !models.isEmpty else { return nil }
        var table = TextTable(["MODEL", "MERGED TENSORS", "DIFFER FROM THE BASE", "UNMATCHED NAMES"])
        for model in models.prefix(rowsMax) {
            table.add([model.name, "\(model.merged)", "\(model.differing)", "\(model.unmatched)"])
        }
        var lines = [table.text]
        if models.count > rowsMax { lines.append("and \(models.count - rowsMax) more models; report.json has each") }
        for model in models.prefix(rowsMax) where model.unmatched > 0 {
            let names = model.unmatchedNames.map(\.printable).joined(separator: ", ")
            let rest = model.unmatched - model.unmatchedNames.count
            lines.append(
                "note: no tensor of the output has these names of \(model.name.printable): \(names)"
                    + (rest > 0 ? " and \(rest) more" : ""))
        }
        return lines.joined(separator: "\n")
    }
}
