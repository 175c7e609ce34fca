import PageMarkup

/// The rows of one line of a table: a method, and what tells it from other lines of the same method.
struct StudySeries {
    let method: MethodName
    /// β, set only when the method was measured with several β for the same seed and α.
    ///
    /// Otherwise β may differ between seeds, as validation chose it.
    let beta: Double?
    let setting: String?
    let rows: [StudyRow]

    /// The series of one regime's rows, in the order of ``MethodName/ordered(_:by:)``.
    static func all(of rows: [StudyRow]) -> [StudySeries] {
        var order: [Key] = []
        var groups: [Key: [StudyRow]] = [:]
        let split = keysWithSeveralBetas(rows)
        for row in rows {
            let whole = Key(method: row.method, setting: row.setting, beta: nil)
            let key = split.contains(whole) ? Key(method: row.method, setting: row.setting, beta: row.beta) : whole
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(row)
        }
        return MethodName.ordered(order, by: \.method).map { key in
            StudySeries(
                method: MethodName(of: key.method),
                beta: key.beta,
                setting: key.setting,
                rows: groups[key] ?? []
            )
        }
    }

    private struct Key: Hashable {
        var method: String
        var setting: String?
        var beta: Double?
    }

    private static func keysWithSeveralBetas(_ rows: [StudyRow]) -> Set<Key> {
        struct Measurement: Hashable {
            let key: Key
            let seed: Int?
            let alpha: Double?
        }
        var betas: [Measurement: Set<Double?>] = [:]
        for row in rows {
            let key = Key(method: row.method, setting: row.setting, beta: nil)
            betas[Measurement(key: key, seed: row.seed, alpha: row.alpha), default: []].insert(row.beta)
        }
        return Set(betas.filter { $0.value.count > 1 }.map(\.key.key))
    }

    // MARK: - What tables ask for

    var rowsAtUnitAlpha: [StudyRow] { rows.filter(\.isAtUnitAlpha) }
    var rowsAtBestAlpha: [StudyRow] { rows.filter(\.isBestAlpha) }
    var bestAlphas: [Double] { rowsAtBestAlpha.map { $0.alpha ?? 1 } }

    /// The number of seeds of the series; `nil` when the seed changes nothing.
    var seedCount: Int? {
        let seeds = Set(rows.compactMap(\.seed))
        return seeds.isEmpty ? nil : seeds.count
    }

    /// The small print after the method's name: setting, β, and a note that all rows share.
    var detail: String? {
        var parts: [String] = []
        if let setting { parts.append(setting) }
        if let betas = NumberText.range(rows.compactMap(\.beta)) { parts.append("β = \(betas)") }
        let notes = Set(rows.map(\.note))
        if notes.count == 1, let note = rows.first?.note { parts.append(note) }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// The name in a figure: short, with β when β tells two lines apart.
    var label: String {
        beta.map { "\(method.short), β = \(NumberText.plain($0))" } ?? method.short
    }

    /// The name in a legend.
    var legend: String {
        beta.map { "\(method.full), β = \(NumberText.plain($0))" } ?? method.full
    }
}
