import FileAccess
import Foundation
import LinearAlgebra
import SystemPackage

/// The tables that a finished run prints from its report.
struct ReportTables {
    private let report: [String: Any]

    /// The most bytes of a report; a report with a hundred thousand layers is smaller.
    static let byteCountMax = 512 << 20
    /// The most rows of a table; with more layers, each kind of layer has one row.
    private static let rowsMax = 20

    /// Reads `report.json` of an output directory; `nil` when it is missing.
    init?(directory: String) {
        let path = FilePath(directory).appending("report.json")
        guard let bytes = try? WholeFile.read(path, limit: Self.byteCountMax),
            let report = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        else { return nil }
        self.report = report
    }

    /// All tables for which the report has data.
    var text: String {
        [summary, missing, merged, interference, penalties, accumulation, optimal, files].compactMap { $0 }
            .joined(separator: "\n\n")
    }

    private var layers: [[String: Any]] { report["layers"] as? [[String: Any]] ?? [] }

    private var summary: String? {
        guard let run = report["run"] as? [String: Any], let stages = run["stages"] as? [String: [String: Any]] else {
            return nil
        }
        var table = TextTable(["STAGE", "UNITS", "SECONDS", "IN KERNELS"])
        for (name, row) in stages.sorted(by: { $0.key < $1.key }) {
            table.add([
                name, "\(row["units"] as? Int ?? 0)", Quantity.rounded(number(row["elapsed_seconds"]), 3),
                Quantity.rounded(number(row["kernel_seconds"]), 3),
            ])
        }
        let tasks = (report["tasks"] as? [Any])?.count ?? 0
        return "what was computed (\(tasks) tasks, \(layers.count) layers and parameters with factors)\n" + table.text
    }

    /// The layers and parameters without curvature of some or of all tasks; nil when there are none.
    private var missing: String? {
        let unreached = report["layers_without_rows"] as? [String] ?? []
        let partly = layers.compactMap { $0["missing_curvature"] == nil ? nil : $0["name"] as? String }
            .filter { !unreached.contains($0) }
        let lines = [
            ("no task has rows of these layers and parameters, so they have no factors", unreached),
            ("some tasks have no rows of these layers and parameters; the others take their shares", partly),
        ].compactMap { what, names in names.isEmpty ? nil : "note: \(what): \(list(names))" }
        return lines.isEmpty ? nil : lines.joined(separator: "\n")
    }

    /// The states of the checkpoint's tensors, with warnings.
    private var merged: String? {
        guard let merge = report["merge"] as? [String: Any], let tensors = merge["tensors"] as? [String: Any] else {
            return nil
        }
        func count(_ key: String) -> Int { (tensors[key] as? [Any])?.count ?? 0 }
        let models = MergedModelRow.rows(merge["models"])
        let unmatched = models.reduce(0) { $0 + $1.unmatched }
        var lines = [
            "merged checkpoint: \(count("changed")) tensors changed, \(count("unchanged")) unchanged, "
                + "\(count("copied")) copied from the base, \(unmatched) of the models unmatched"
        ]
        if let text = MergedModelRow.text(models, rowsMax: Self.rowsMax) { lines.append(text) }
        if let differing = tensors["differing"] as? [String: [String]], !differing.isEmpty {
            let copied = merge["copied"] as? [String: [String]] ?? [:]
            let ignored = Set(copied["ignored"] ?? [])
            let misfits = Set(copied["mismatched_shape"] ?? [])
            for (subject, subjects, tensors) in [
                ("buffer", "buffers", differing.filter { !ignored.contains($0.key) && !misfits.contains($0.key) }),
                ("tensor of another shape", "tensors of another shape", differing.filter { misfits.contains($0.key) }),
                ("ignored tensor", "ignored tensors", differing.filter { ignored.contains($0.key) }),
            ] where !tensors.isEmpty {
                let named = tensors.sorted { $0.key < $1.key }.prefix(3).map { "\($0.key) (\(list($0.value)))" }
                let more = tensors.count > named.count ? ", …" : ""
                lines.append(
                    "note: \(tensors.count) \(tensors.count == 1 ? "\(subject) keeps" : "\(subjects) keep") the base's values "
                        + "where models have others: " + named.joined(separator: ", ") + more)
            }
        }
        if let found = merge["non_finite"] as? [String: [String: Int]], !found.isEmpty {
            let counts = found.sorted { $0.key < $1.key }.prefix(8).map { checkpoint, tensors in
                "\(checkpoint) \(tensors.values.reduce(0, +)) in \(tensors.count) tensors"
            }
            lines.append("note: NaN and infinities were merged as they are: " + counts.joined(separator: ", "))
        }
        return lines.joined(separator: "\n")
    }

    private var interference: String? {
        guard let found = report["interference"] as? [String: Any],
            let rows = found["normalized"] as? [[Any]], let vectors = found["task_vectors"] as? [String],
            let tasks = found["tasks"] as? [String]
        else { return nil }
        var table = TextTable([""] + tasks)
        for (vector, row) in zip(vectors, rows) {
            table.add([vector] + row.map { Quantity.rounded(number($0), 3) })
        }
        return Self.interferenceHeading + table.text
    }

    /// The lines above a matrix of interference.
    static let interferenceHeading =
        "interference: how strongly each task vector (row) moves each task's representations (column),\n"
        + "relative to that task's own vector\n"

    /// Ω of each task's own vector; nil when the job has none.
    private var penalties: String? {
        guard let found = report["penalties"] as? [String: [String: Any]], !found.isEmpty else { return nil }
        var table = TextTable(["TASK", "PENALTY"])
        let rows = found.sorted { $0.key < $1.key }
        for (task, layers) in rows.prefix(Self.rowsMax) {
            let sum = layers.sorted { $0.key < $1.key }.reduce(0) { $0 + number($1.value) }
            // Its scale is that of the captured gradients, which may be any.
            table.add([task, abs(sum) < 0.01 ? Quantity.scientific(sum) : Quantity.rounded(sum, 3)])
        }
        let further = rows.count - Self.rowsMax
        let more = further > 0 ? "\nand \(further) more; report.json has every task" : ""
        return "penalty of each task's own vector under the regularizer of the other tasks, without its factor β\n"
            + table.text + more
    }

    private var accumulation: String? {
        distances("accumulation_error").map {
            "distance of the accumulated regularizer (eq. 8) from the per-task form (eq. 7), over the targets\n\($0)"
        }
    }

    private var optimal: String? {
        let options = (report["options"] as? [String: Any])?["regularizer"] as? [String: Any]
        return distances("optimal_error").map {
            "distance of the optimal regularizer of rank \(options?["rank"] as? Int ?? 1) from the per-task form (eq. 7), "
                + "over the targets\n\($0)"
        }
    }

    /// The files that were copied beside the merged checkpoint; nil when nothing is beside the base.
    private var files: String? {
        guard let merge = report["merge"] as? [String: Any], let found = merge["files"] as? [String: [String]] else {
            return nil
        }
        let copied = found["copied"] ?? []
        return copied.isEmpty ? nil : "files copied from the base beside the merged tensors: \(list(copied))"
    }

    /// The first few names and the number of the others.
    private func list(_ names: [String]) -> String {
        let shown = names.prefix(10).joined(separator: ", ")
        return names.count > 10 ? "\(shown) and \(names.count - 10) more" : shown
    }

    /// One row for each layer; nil when no layer has an error of that name.
    private func distances(_ key: String) -> String? {
        let errors = layers.compactMap { layer -> (String, [Double])? in
            guard let name = layer["name"] as? String, let found = layer[key] as? [String: Any], !found.isEmpty
            else { return nil }
            return (name, found.values.map(number))
        }
        guard !errors.isEmpty else { return nil }
        guard errors.count <= Self.rowsMax else { return kinds(of: errors) }
        var table = TextTable(["LAYER", "LEAST", "LARGEST"])
        for (name, values) in errors {
            table.add([
                name, "\(Quantity.rounded(100 * (values.smallest() ?? 0), 1)) %",
                "\(Quantity.rounded(100 * (values.largest() ?? 0), 1)) %",
            ])
        }
        return table.text
    }

    /// Layers whose names differ only in numbers.
    private struct LayerKind {
        let name: String
        let count: Int
        let least: Double
        let largest: Double
        let worst: String

        init(_ name: String, _ layers: [(name: String, values: [Double])]) {
            self.name = name
            count = layers.count
            var (least, largest, worst) = (Double.infinity, -Double.infinity, "")
            for layer in layers {
                for value in layer.values {
                    least = min(least, value)
                    // A distance that is NaN counts as the worst.
                    if !(value <= largest) { (largest, worst) = (value, layer.name) }
                }
            }
            (self.least, self.largest, self.worst) = (least, largest, worst)
        }
    }

    /// One row for each kind of layer, with the worst layer.
    private func kinds(of errors: [(name: String, values: [Double])]) -> String {
        let groups = Dictionary(grouping: errors) { Self.kind(of: $0.name) }
        let kinds = groups.map { LayerKind($0.key, $0.value) }.sorted { left, right in
            left.largest != right.largest ? left.largest > right.largest : left.name < right.name
        }
        var table = TextTable(["LAYERS", "COUNT", "LEAST", "LARGEST", "THE LARGEST IS OF"])
        for kind in kinds.prefix(Self.rowsMax - 3) {
            table.add([
                kind.name, "\(kind.count)", "\(Quantity.rounded(100 * kind.least, 1)) %",
                "\(Quantity.rounded(100 * kind.largest, 1)) %", kind.worst,
            ])
        }
        let further = kinds.dropFirst(Self.rowsMax - 3)
        guard !further.isEmpty else { return table.text }
        let layers = further.reduce(0) { $0 + $1.count }
        return table.text + "\nand \(further.count) more kinds (\(layers) layers); report.json has every layer"
    }

    /// A layer's name with a star in place of every number.
    private static func kind(of name: String) -> String {
        var kind = ""
        for character in name {
            if !character.isNumber { kind.append(character) } else if kind.last != "*" { kind.append("*") }
        }
        return kind
    }

    private func number(_ value: Any?) -> Double {
        (value as? NSNumber)?.doubleValue ?? .nan
    }
}
