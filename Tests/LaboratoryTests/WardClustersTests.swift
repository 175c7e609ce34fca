import TestSupport
import Testing

@testable import Laboratory

struct WardClustersTests {
    private static let width = 3

    private static func points(_ count: Int, seed: UInt64) -> (places: [Double], masses: [Double]) {
        var random = SplitMix64(seed: seed)
        return (random.values(count * width), random.values(count).map { 1.5 + $0 })
    }

    private static func clusters(
        _ places: [Double], _ masses: [Double], counts: [Int]? = nil, most: Int, least: Int = 1
    ) -> [[Int]] {
        WardClusters(
            of: places.map { Float($0) }, width: width, masses: masses,
            counts: counts ?? masses.map { _ in 1 }, most: most, least: least
        ).members
    }

    /// Joins the two clusters whose join adds least, found among all pairs, until so many are left.
    private static func greedy(_ places: [Double], _ masses: [Double], most: Int) -> [[Int]] {
        var clusters = masses.indices.map { [$0] }
        func spread(_ members: [Int]) -> Double {
            let total = members.reduce(0) { $0 + masses[$1] }
            return (0..<width).reduce(0) { sum, axis in
                let mean = members.reduce(0) { $0 + masses[$1] * places[$1 * width + axis] } / total
                return sum
                    + members.reduce(0) {
                        $0 + masses[$1] * (places[$1 * width + axis] - mean) * (places[$1 * width + axis] - mean)
                    }
            }
        }
        while clusters.count > most {
            var best = (growth: Double.infinity, first: 0, second: 0)
            for first in clusters.indices {
                for second in clusters.indices where second > first {
                    let growth =
                        spread(clusters[first] + clusters[second]) - spread(clusters[first]) - spread(clusters[second])
                    if growth < best.growth { best = (growth, first, second) }
                }
            }
            clusters[best.first] = (clusters[best.first] + clusters[best.second]).sorted()
            clusters.remove(at: best.second)
        }
        return clusters.sorted { $0[0] < $1[0] }
    }

    @Test(arguments: [1, 2, 5, 11, 29, 30, 100])
    func `the clusters are those of joining the nearest pair again and again`(most: Int) {
        for seed in 1...3 as ClosedRange<UInt64> {
            let (places, masses) = Self.points(30, seed: seed)
            #expect(Self.clusters(places, masses, most: most) == Self.greedy(places, masses, most: most))
        }
    }

    @Test(arguments: [2, 5, 16]) func `no cluster stands for fewer images than the least`(least: Int) {
        let (places, masses) = Self.points(40, seed: 5)
        let counts = masses.indices.map { 1 + $0 % 3 }
        let found = Self.clusters(places, masses, counts: counts, most: 20, least: least)
        #expect(found.allSatisfy { $0.reduce(0) { $0 + counts[$1] } >= least })
        #expect(found.count > 1 && found.count <= 20)
        #expect(found.joined().sorted() == Array(masses.indices))
    }

    @Test func `fewer points than the least are one cluster`() {
        let (places, masses) = Self.points(3, seed: 6)
        #expect(Self.clusters(places, masses, most: 3, least: 9) == [[0, 1, 2]])
        #expect(Self.clusters(Array(places[..<3]), [1], most: 3, least: 9) == [[0]])
    }

    @Test func `equal points join first`() {
        let places = [0.5, 0.25, 0, 1, 1, 1, 0.5, 0.25, 0, 1, 1, 1, 0.5, 0.25, 0]
        #expect(Self.clusters(places, [1, 2, 3, 4, 5], most: 2) == [[0, 2, 4], [1, 3]])
    }
}
