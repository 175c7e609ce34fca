import Identifiers
import KroneckerFactors
import UnitOperations
import Yams

/// The keys under `kfac`.
extension JobFileReader {
    /// Reads the `kfac` mapping; absent keys keep their defaults.
    mutating func readCurvature(_ node: Node) -> CurvatureSpec {
        let keys = [
            "layers", "normalization", "damping", "precision", "regularizer", "groups", "exact_probes", "interference",
            "input_digests", "packed", "compression", "missing_curvature", "layout", "diagonal",
        ]
        let entries = entries(node, of: "\"kfac\"", keys: keys)
        var curvature = CurvatureSpec()
        curvature.layers = entries["layers"].map { texts($0, "layers") }
        if let word = entries["normalization"].flatMap({ word($0, "normalization", as: FactorNormalization.self) }) {
            curvature.normalization = word
            curvature.isNormalizationGiven = true
        }
        if let node = entries["damping"] { curvature.damping = readDamping(node) }
        if let node = entries["precision"] {
            curvature.precision = word(node, "precision", as: FactorPrecision.self).map {
                Located($0, at: location(of: node))
            }
        }
        if let node = entries["regularizer"] { curvature.regularizer = readRegularizer(node) }
        if let node = entries["groups"] { curvature.groups = readGroups(node) }
        if let truth = entries["exact_probes"].flatMap({ truth($0, "exact_probes") }) {
            curvature.hasExactProbes = truth
        }
        if let truth = entries["interference"].flatMap({ truth($0, "interference") }) {
            curvature.measuresInterference = truth
        }
        if let word = entries["input_digests"].flatMap({ word($0, "input_digests", as: InputDigests.self) }) {
            curvature.inputDigests = word
        }
        if let word = entries["missing_curvature"]
            .flatMap({ word($0, "missing_curvature", as: MissingCurvature.self) })
        {
            curvature.missingCurvature = word
        }
        if let truth = entries["packed"].flatMap({ truth($0, "packed") }) { curvature.storesPackedTriangles = truth }
        curvature.compression = entries["compression"].flatMap { readCompression($0) }
        curvature.diagonals = entries["diagonal"].map { texts($0, "diagonal") } ?? []
        if let node = entries["layout"] { curvature.layouts = readLayouts(node) }
        return curvature
    }

    private mutating func readLayouts(_ node: Node) -> [LayoutPattern] {
        guard case .mapping(let mapping) = node else {
            report(node, "\"layout\" must be a mapping of patterns to out_in or in_out, as in {\"*.c_attn\": in_out}.")
            return []
        }
        return mapping.compactMap { key, value in
            guard let pattern = text(key, "layout"), let layout = word(value, "layout", as: WeightLayout.self) else {
                return nil
            }
            return LayoutPattern(pattern, layout)
        }
    }

    private mutating func readDamping(_ node: Node) -> DampingSpec {
        var damping = DampingSpec()
        let entries = entries(node, of: "\"damping\"", keys: ["rule", "value"])
        if let rule = entries["rule"].flatMap({ word($0, "rule", as: DampingRule.self) }) { damping.rule = rule }
        if let written = entries["value"] {
            if let value = number(written, "value") { damping.value = value }
        } else if let value = damping.rule.defaultValue {
            damping.value = value
        } else {
            report(
                node,
                "the damping rule \"\(damping.rule.rawValue)\" needs a \"value\", which has the unit of the factors. "
                    + "Write one, or use the rule \"relative\", whose value has none.")
        }
        if damping.value < 0 {
            report(node, "the damping value is \(damping.value); expected a number of at least 0.")
        }
        return damping
    }

    private static let regularizerKeys = [
        "form", "rank", "ranks", "floor", "scale", "balance", "one_dimensional", "targets",
    ]

    private mutating func readRegularizer(_ node: Node) -> RegularizerSpec {
        var regularizer = RegularizerSpec()
        let entries = entries(node, of: "\"regularizer\"", keys: Self.regularizerKeys)
        let form = entries["form"].map { word($0, "form", as: RegularizerSpec.Form.self) } ?? .accumulated
        if let form { regularizer.form = form }
        if let node = entries["rank"] {
            regularizer.rank = count(node, "rank")
            if let form, form != .optimal {
                report(
                    node,
                    "\"rank\" belongs to the form \"optimal\"; the form is \"\(form.rawValue)\". Remove \"rank\", or "
                        + "write \"form: optimal\".")
            }
        }
        if let scale = entries["scale"].flatMap({ word($0, "scale", as: RegularizerScale.self) }) {
            regularizer.scale = scale
        }
        if let balance = entries["balance"].flatMap({ word($0, "balance", as: LayerBalance.self) }) {
            regularizer.balance = balance
        }
        if let sum = entries["one_dimensional"]
            .flatMap({ word($0, "one_dimensional", as: OneDimensionalSum.self) })
        {
            regularizer.oneDimensional = sum
        }
        if let node = entries["targets"] { regularizer.targets = readTargets(node) }
        readJointRows(entries, form: form, into: &regularizer)
        return regularizer
    }

    private mutating func readTargets(_ node: Node) -> RegularizerSpec.Targets {
        if case .sequence(let items) = node {
            guard items.count <= JobFileLimits.tasks else {
                report(node, "\"targets\" names \(items.count) tasks; at most \(JobFileLimits.tasks) are allowed.")
                return .leaveOneOut
            }
            let names = texts(node, "targets").map { Located(TaskName(rawValue: $0.value), at: $0.location) }
            var seen: Set<TaskName> = []
            for name in names where !seen.insert(name.value).inserted {
                report(
                    at: name.location,
                    "\"targets\" names the task \"\(name.value.rawValue.excerpt)\" twice. Remove one of them.")
            }
            return .named(names)
        }
        switch node.scalar?.string {
        case "leave_one_out": return .leaveOneOut
        case "all": return .all
        default:
            report(node, "\"targets\" must be leave_one_out, all, or a list of task names.")
            return .leaveOneOut
        }
    }
}
