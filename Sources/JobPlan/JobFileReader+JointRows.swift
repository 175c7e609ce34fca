import Identifiers
import UnitOperations
import Yams

/// The keys of the form `pseudo_rows` under `kfac.regularizer`.
extension JobFileReader {
    /// Reads `ranks` and `floor`; the form implies `one_dimensional: sum`.
    mutating func readJointRows(
        _ entries: [String: Node], form: RegularizerSpec.Form?, into regularizer: inout RegularizerSpec
    ) {
        guard let form else { return }
        guard form == .pseudoRows else {
            for key in ["ranks", "floor"] {
                guard let node = entries[key] else { continue }
                report(
                    node,
                    "\"\(key)\" belongs to the form \"pseudo_rows\"; the form is \"\(form.rawValue)\". Remove "
                        + "\"\(key)\", or write \"form: pseudo_rows\".")
            }
            return
        }
        if let node = entries["one_dimensional"], regularizer.oneDimensional == .mean {
            report(
                node,
                "the form \"pseudo_rows\" sums full blocks as its rows do, so \"one_dimensional\" is \"sum\". Remove it, or "
                    + "write \"sum\".")
        }
        regularizer.oneDimensional = .sum
        if let node = entries["ranks"] { readRanks(node, into: &regularizer.jointRows) }
        if let node = entries["floor"] { readFloor(node, into: &regularizer.jointRows) }
    }

    private mutating func readRanks(_ node: Node, into settings: inout JointRowsSpec) {
        let entries = entries(node, of: "\"ranks\"", keys: ["inputs", "gradients"])
        for (key, rank) in [("inputs", \JointRowsSpec.inputRank), ("gradients", \.gradientRank)] {
            guard let written = entries[key], let count = count(written, key) else { continue }
            guard count.value <= JointRows.countMax else {
                report(
                    written, "\"\(key)\" is \(count.value); expected at most \(JointRows.countMax) pseudo-rows.")
                continue
            }
            settings[keyPath: rank] = count.value
        }
    }

    private mutating func readFloor(_ node: Node, into settings: inout JointRowsSpec) {
        switch node.scalar?.string {
        case "none": settings.floor = .none
        case "complement": settings.floor = .complement
        default:
            guard case .scalar(let scalar) = node, case .number(let number) = YAMLScalar(scalar), number > 0,
                number.isFinite
            else {
                report(node, "\"floor\" must be complement, none, or a number above 0.")
                return
            }
            settings.floor = .factors(number)
        }
    }
}
