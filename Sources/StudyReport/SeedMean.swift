/// Means of matrices over seeds.
enum SeedMean {
    /// The mean of the matrices of the first one's shape; `nil` without matrices.
    static func of(_ matrices: [[[Double]]]) -> [[Double]]? {
        guard let first = matrices.first else { return nil }
        let alike = matrices.filter { $0.map(\.count) == first.map(\.count) }
        return first.indices.map { row in
            first[row].indices.map { column in
                alike.map { $0[row][column] }.reduce(0, +) / Double(alike.count)
            }
        }
    }

    /// `mean over 3 seeds`, or `one seed`.
    static func words(_ count: Int) -> String { count == 1 ? "one seed" : "mean over \(count) seeds" }
}
