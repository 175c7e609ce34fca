/// A quantity over seeds.
struct SeedStatistics: Equatable {
    let mean: Double
    /// The sample standard deviation, with n − 1; `nil` for one seed.
    let deviation: Double?
    let count: Int

    /// The mean and spread of one value for each seed; `nil` without values.
    init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        count = values.count
        guard count > 1 else {
            deviation = nil
            return
        }
        let squares = values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +)
        deviation = (squares / Double(count - 1)).squareRoot()
    }

    /// The statistics of the rows' values; rows of the same seed count once, by their mean.
    init?(over rows: [StudyRow], _ value: (StudyRow) -> Double?) {
        let bySeed = Dictionary(grouping: rows, by: \.seed).sorted { ($0.key ?? .min) < ($1.key ?? .min) }
        self.init(
            bySeed.compactMap { _, rows in
                let values = rows.compactMap(value)
                return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
            }
        )
    }
}
