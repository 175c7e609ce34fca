import LinearAlgebra

/// Clusters of weighted points by Ward's criterion: two clusters join where the sum of squared distances to their
/// means grows least.
///
/// The chain of nearest neighbours finds the whole tree of joins. Joins are then made from the least growth on.
///
/// Source: Ward 1963, Hierarchical grouping to optimize an objective function; Murtagh & Contreras 2012, Algorithms for
/// hierarchical clustering.
struct WardClusters: Sendable {
    /// The points of each cluster, ascending; clusters in the order of their first points.
    let members: [[Int]]

    /// Finds the clusters.
    ///
    /// - Parameters:
    ///   - points: `[points, width]`, at least one point.
    ///   - width: The length of a point.
    ///   - masses: The positive mass of each point.
    ///   - counts: The number of images that each point stands for.
    ///   - most: The most clusters, at least 1.
    ///   - least: The fewest images of a cluster, unless there is only one cluster.
    init(of points: [Float], width: Int, masses: [Double], counts: [Int], most: Int, least: Int) {
        var clusterCount = masses.count
        var sizes = counts
        var owners = Array(masses.indices)
        func owner(of point: Int) -> Int {
            var point = point
            while owners[point] != point { point = owners[point] }
            return point
        }
        var chain = NeighbourChain(points, width: width, masses: masses)
        for join in chain.joins() {
            let (first, second) = (owner(of: join.first), owner(of: join.second))
            guard clusterCount > most || min(sizes[first], sizes[second]) < least else { continue }
            owners[second] = first
            sizes[first] += sizes[second]
            clusterCount -= 1
        }
        var found: [Int: [Int]] = [:]
        for point in owners.indices { found[owner(of: point), default: []].append(point) }
        members = found.values.sorted { $0[0] < $1[0] }
    }
}

/// The chain of nearest neighbours: clusters that follow each other, each the nearest one of its predecessor.
///
/// Its last two are the nearest of each other, and join. A cluster has the place of its first point.
private struct NeighbourChain {
    /// Two places that join: the first one keeps the cluster.
    struct Join {
        let first: Int
        let second: Int
        let growth: Float
    }

    private let count: Int
    private var masses: [Float]
    /// What joining two clusters adds, `[count, count]`; infinite for a cluster itself and for places without one.
    private var growths: [Float]

    init(_ points: [Float], width: Int, masses: [Double]) {
        let count = masses.count
        let (block, square) = (MatrixBlock(rows: count, columns: width), MatrixBlock(rows: count, columns: count))
        var growths = [Float](repeating: 0, count: count * count)
        BlockProduct.multiply(points, block, .none, points, block, .transposed, into: &growths, square)
        let squares = (0..<count).map { growths[$0 * (count + 1)] }
        let masses = masses.map { Float($0) }
        for row in 0..<count {
            for column in 0..<count {
                let distance = max(0, squares[row] + squares[column] - 2 * growths[row * count + column])
                growths[row * count + column] = distance * masses[row] * masses[column] / (masses[row] + masses[column])
            }
            growths[row * (count + 1)] = .infinity
        }
        self.count = count
        self.masses = masses
        self.growths = growths
    }

    /// All joins, those of the least growth first.
    mutating func joins() -> [Join] {
        var joins: [Join] = []
        var chain: [Int] = []
        var isThere = [Bool](repeating: true, count: count)
        while joins.count + 1 < count {
            if chain.isEmpty { chain = [isThere.firstIndex(of: true) ?? 0] }
            let last = chain[chain.count - 1]
            let before = chain.count > 1 ? chain[chain.count - 2] : nil
            let nearest = nearest(to: last, before)
            guard nearest == before else {
                chain.append(nearest)
                continue
            }
            chain.removeLast(2)
            let (first, second) = (min(last, nearest), max(last, nearest))
            joins.append(Join(first: first, second: second, growth: growths[first * count + second]))
            isThere[second] = false
            join(first, second, isThere)
        }
        return joins.enumerated().sorted { ($0.element.growth, $0.offset) < ($1.element.growth, $1.offset) }
            .map(\.element)
    }

    /// The nearest other cluster; the preferred one, of several as near.
    private func nearest(to place: Int, _ preferred: Int?) -> Int {
        var best = preferred ?? (place == 0 ? 1 : 0)
        for other in 0..<count where growths[place * count + other] < growths[place * count + best] { best = other }
        return best
    }

    /// Makes the first place's growths those of the joined cluster, by the formula of Lance and Williams.
    private mutating func join(_ first: Int, _ second: Int, _ isThere: [Bool]) {
        let (left, right) = (masses[first], masses[second])
        let own = growths[first * count + second]
        for other in 0..<count {
            let isOther = isThere[other] && other != first
            let joined =
                ((left + masses[other]) * growths[first * count + other]
                    + (right + masses[other]) * growths[second * count + other] - masses[other] * own)
                / (left + right + masses[other])
            let growth = isOther ? max(0, joined) : .infinity
            growths[first * count + other] = growth
            growths[other * count + first] = growth
            growths[second * count + other] = .infinity
            growths[other * count + second] = .infinity
        }
        masses[first] = left + right
    }
}
