import JSONText
import PageMarkup

/// The damping of one factor, and what is known of its eigenvalues.
struct HealthRow {
    /// The condition number from which on a factor is marked.
    ///
    /// Inverses are stored in single precision, whose rounding of 6 · 10⁻⁸ such a factor makes 6 % of a solution.
    static let conditionMax = 1e6

    let layer: String
    let side: String
    /// The target of an inverse; nil for the damping of the merge itself.
    let target: String?
    let requested: Double?
    let used: Double?
    let mean: Double?
    let condition: Double?
    let attempts: Double?
    let pinned: Double?
    let isClamped: Bool
    let smallest: Double?
    let largest: Double?
    let rank: Double?

    /// All rows of a report: those of the inverses, then those of the merge.
    static func all(of report: JSONValue) -> [HealthRow] {
        let layers = report["layers"]?.elements ?? []
        let inverses = layers.flatMap { layer -> [HealthRow] in
            let name = layer["name"]?.stringValue ?? "–"
            return (layer["factors"]?.elements ?? []).flatMap { factor in
                (factor["health"]?.entries ?? []).map { target in
                    HealthRow(layer: name, side: factor["side"]?.stringValue ?? "–", target: target.key) { key in
                        target.value[key]?.number
                    }
                }
            }
        }
        let sides = Dictionary(
            layers.map { layer in
                (
                    layer["name"]?.stringValue ?? "–",
                    layer["factors"]?.elements.compactMap { $0["side"]?.stringValue } ?? []
                )
            }
        ) { first, _ in first }
        let merges = (report["merge"]?["health"]?.entries ?? []).flatMap { layer -> [HealthRow] in
            guard layer.value["damping"] != nil || layer.value["condition"] != nil else { return [] }
            return (sides[layer.key] ?? []).enumerated().map { position, side in
                HealthRow(layer: layer.key, side: side, target: nil) { key in
                    let values = layer.value[key]?.elements ?? []
                    return values.indices.contains(position) ? values[position].number : nil
                }
            }
        }
        return inverses + merges
    }

    private init(layer: String, side: String, target: String?, _ value: (String) -> Double?) {
        (self.layer, self.side, self.target) = (layer, side, target)
        requested = value("damping")
        used = value("damping_used")
        mean = value("mean_eigenvalue")
        condition = value("condition")
        attempts = value("attempts")
        pinned = value("pinned")
        isClamped = value("clamped") == 1
        smallest = value("smallest_eigenvalue")
        largest = value("largest_eigenvalue")
        // A merge has the rank of its method there, which is none of a factor.
        rank = target == nil ? nil : value("rank")
    }

    /// The damping that was used, as a multiple of the mean eigenvalue.
    var share: Double? {
        guard let used, let mean, mean > 0 else { return nil }
        return used / mean
    }

    /// What is unusual, in words.
    var marks: [String] {
        var marks: [String] = []
        if isClamped { marks.append("clamped") }
        if let requested, let used, used > requested { marks.append("raised") }
        if let share, share > 1 { marks.append("above the mean") }
        if let condition, condition > Self.conditionMax { marks.append("ill-conditioned") }
        if mean == 0 { marks.append("no curvature") }
        return marks
    }

    /// Whether the row is listed before another: more marks, then the larger condition, then the larger damping.
    func isWorse(than other: HealthRow) -> Bool {
        func rank(_ row: HealthRow) -> (Int, Double, Double) {
            (row.marks.count, row.condition ?? 0, row.share ?? 0)
        }
        return rank(self) > rank(other)
    }

    var isOfSpectrum: Bool { smallest != nil || largest != nil || rank != nil }
}
