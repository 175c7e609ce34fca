/// Centroids of the inputs of a middle layer, by which joint rows pool positions of like content.
///
/// The first position, the class token, has a bucket of its own. Each other position belongs to the nearest centroid.
/// Rows of several tasks can be joined only if their positions are pooled by one codebook.
///
/// Source: DESIGN section 2.2, joint form.
public struct PositionCodebook: Sendable {
    /// The layer's number in the layout of joint rows.
    private let block: Int
    /// Without the bias's 1.
    private let centroids: [[Float]]

    /// The most rounds of k-means.
    private static let roundLimit = 30

    /// Buckets: one for the class token, and one for each centroid.
    public var bucketCount: Int { 1 + centroids.count }

    /// Makes centroids by k-means, which starts at k-means++ (Arthur & Vassilvitskii 2007).
    ///
    /// - Parameters:
    ///   - tasks: The rows of at least one task; the centroids describe all of them.
    ///   - count: The number of centroids, at least one. There are fewer if inputs differ less.
    public init(of tasks: [TaskRows], count: Int) {
        precondition(!tasks.isEmpty && count > 0, "a codebook needs rows, and a centroid")
        let block = Self.middleLayer(of: tasks[0].rows.layout)
        let rows = tasks.flatMap { task in
            task.inputs(ofBlock: block).flatMap { $0.dropFirst() }
        }
        self.block = block
        centroids = Self.means(of: rows, from: Self.start(rows, count))
    }

    /// The first layer of the block of the transformer in the middle of the model.
    private static func middleLayer(of layout: JointLayout) -> Int {
        let layerCount = layout.blocks.count { $0.positions > 1 }
        // A transformer's block has four layers.
        return layerCount / 8 * 4
    }

    /// The bucket of each position of each sample.
    func buckets(of task: TaskRows) -> [[Int]] {
        task.inputs(ofBlock: block).map { positions in
            [0] + positions.dropFirst().map { 1 + Self.nearest($0, centroids).index }
        }
    }

    // MARK: - Centroids

    private static func start(_ rows: [[Float]], _ count: Int) -> [[Float]] {
        var random = SeededRandom(seed: 0, purpose: "centroids of positions")
        var centroids = [rows[Int(random.next() % UInt64(rows.count))]]
        var distances = rows.map { distance($0, centroids[0]) }
        while centroids.count < count {
            let total = distances.reduce(0, +)
            guard total > 0 else { break }
            var rest = Double.random(in: 0..<1, using: &random) * total
            let chosen =
                distances.firstIndex { distance in
                    rest -= distance
                    return rest < 0
                } ?? distances.count - 1
            centroids.append(rows[chosen])
            for index in rows.indices { distances[index] = min(distances[index], distance(rows[index], rows[chosen])) }
        }
        return centroids
    }

    private static func means(of rows: [[Float]], from start: [[Float]]) -> [[Float]] {
        var centroids = start
        var last: [Int] = []
        for _ in 0..<roundLimit {
            let assigned = rows.map { nearest($0, centroids).index }
            guard assigned != last else { break }
            last = assigned
            var sums = centroids.map { [Double](repeating: 0, count: $0.count) }
            var counts = [Int](repeating: 0, count: centroids.count)
            for (row, bucket) in zip(rows, assigned) {
                counts[bucket] += 1
                for index in row.indices { sums[bucket][index] += Double(row[index]) }
            }
            // A centroid without rows stays where it is.
            for bucket in centroids.indices where counts[bucket] > 0 {
                centroids[bucket] = sums[bucket].map { Float($0 / Double(counts[bucket])) }
            }
        }
        return centroids
    }

    /// The nearest centroid, of equal ones the first.
    private static func nearest(_ row: [Float], _ centroids: [[Float]]) -> (index: Int, distance: Double) {
        var best = (index: 0, distance: Double.infinity)
        for (index, centroid) in centroids.enumerated() {
            let distance = distance(row, centroid)
            if distance < best.distance { best = (index, distance) }
        }
        return best
    }

    private static func distance(_ left: [Float], _ right: [Float]) -> Double {
        var sum: Float = 0
        for index in left.indices {
            let difference = left[index] - right[index]
            sum += difference * difference
        }
        return Double(sum)
    }
}
