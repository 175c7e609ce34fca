import ReferenceModel
import TestSupport
import Testing

@testable import Laboratory

struct InputMixtureTests {
    private static let width = 5

    /// Images whose pixels keep away from black and white.
    private static func images(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return random.values(count * width).map { UInt8(128 + 40 * $0) }
    }

    private static func mixture(_ images: [UInt8], components: Int, rank: Int) throws -> InputMixture {
        try InputMixture(of: images, width: width, settings: .init(componentCount: components, rank: rank))
    }

    /// Mean and covariance `[width, width]` of weighted points.
    private static func moments(_ points: [[Double]], _ shares: [Double]) -> (mean: [Double], covariance: [Double]) {
        let mean = (0..<width).map { pixel in zip(points, shares).reduce(0) { $0 + $1.1 * $1.0[pixel] } }
        let covariance = (0..<width * width).map { place in
            zip(points, shares).reduce(0) { sum, point in
                let (row, column) = (place / width, place % width)
                return sum + point.1 * (point.0[row] - mean[row]) * (point.0[column] - mean[column])
            }
        }
        return (mean, covariance)
    }

    private static func points(_ images: [UInt8]) -> [[Double]] {
        (0..<images.count / width).map { image in
            images[image * width..<(image + 1) * width].map { Double($0) / 255 }
        }
    }

    /// Mean and covariance of a whole mixture.
    private static func moments(_ mixture: InputMixture) -> (mean: [Double], covariance: [Double]) {
        let means = (0..<mixture.shares.count).map { component in
            mixture.means[component * width..<(component + 1) * width].map(Double.init)
        }
        let (mean, ofMeans) = moments(means, mixture.shares)
        var covariance = ofMeans
        let rank = mixture.settings.rank
        for (component, share) in mixture.shares.enumerated() {
            for direction in component * rank..<(component + 1) * rank {
                let row = mixture.directions[direction * width..<(direction + 1) * width].map(Double.init)
                for place in covariance.indices { covariance[place] += share * row[place / width] * row[place % width] }
            }
        }
        return (mean, covariance)
    }

    // MARK: - Moments

    @Test(arguments: [1, 2, 4])
    func `with full rank a mixture has the images' mean and covariance`(components: Int) throws {
        let images = Self.images(70, seed: 1)
        let expected = Self.moments(Self.points(images), [Double](repeating: 1 / 70, count: 70))
        let mixture = try Self.mixture(images, components: components, rank: Self.width)
        #expect(mixture.shares.count <= components)
        let found = Self.moments(mixture)
        expectClose(found.mean, expected.mean, relative: 1e-5)
        expectClose(found.covariance, expected.covariance, absolute: 1e-6)
    }

    @Test func `tasks count alike, whatever their numbers of images, in any grouping`() throws {
        let tasks = [Self.images(40, seed: 2), Self.images(90, seed: 3), Self.images(16, seed: 4)]
        let mixtures = try tasks.map { try Self.mixture($0, components: 2, rank: Self.width) }
        let shares = tasks.flatMap { images in
            let count = images.count / Self.width
            return [Double](repeating: 1 / Double(3 * count), count: count)
        }
        let expected = Self.moments(tasks.flatMap(Self.points), shares)
        let all = try InputMixture.accumulated(mixtures)
        let grouped = try InputMixture.accumulated([mixtures[0], .accumulated([mixtures[1], mixtures[2]])])
        for mixture in [all, grouped] {
            let found = Self.moments(mixture)
            expectClose(found.mean, expected.mean, relative: 1e-5)
            expectClose(found.covariance, expected.covariance, absolute: 1e-6)
            #expect(mixture.taskCount == 3 && mixture.imageCounts.reduce(0, +) == 146)
        }
    }

    @Test func `a low rank keeps the leading directions, and never adds variance`() throws {
        let images = Self.images(64, seed: 5)
        let traces = try (1...Self.width).map { rank in
            let covariance = Self.moments(try Self.mixture(images, components: 1, rank: rank)).covariance
            return (0..<Self.width).reduce(0) { $0 + covariance[$1 * (Self.width + 1)] }
        }
        #expect(zip(traces, traces.dropFirst()).allSatisfy { $0 < $1 })
        let gains = zip(traces, [0] + traces).map { $0 - $1 }
        #expect(zip(gains, gains.dropFirst()).allSatisfy { $0 >= $1 })
    }

    // MARK: - Size

    @Test func `tasks that are added do not add storage`() throws {
        var mixture = try Self.mixture(Self.images(200, seed: 6), components: 6, rank: 2)
        for seed in 7...10 as ClosedRange<UInt64> {
            let other = try Self.mixture(Self.images(200, seed: seed), components: 6, rank: 2)
            mixture = try .accumulated([mixture, other])
            #expect(mixture.shares.count == 6)
            #expect(mixture.means.count == 6 * Self.width && mixture.directions.count == 12 * Self.width)
        }
    }

    @Test func `every component stands for at least 16 images`() throws {
        let mixture = try Self.mixture(Self.images(150, seed: 11), components: 100, rank: 1)
        #expect(mixture.shares.count > 1)
        #expect(mixture.imageCounts.allSatisfy { $0 >= InputMixture.leastImages })
        expectClose(mixture.shares.reduce(0, +), 1, relative: 1e-12)
    }

    @Test func `a sum over no task is refused`() {
        let found = message { () throws(LaboratoryError) in _ = try InputMixture.accumulated([]) }
        #expect(found == "the data holds one task only; this penalty needs others.")
    }

    // MARK: - Draws

    @Test func `drawn images have the mixture's mean and covariance`() throws {
        let mixture = try Self.mixture(Self.images(120, seed: 12), components: 3, rank: 2)
        let expected = Self.moments(mixture)
        let count = 20_000
        let found = Self.moments(
            Self.points(mixture.images(count: count, seed: 0)), [Double](repeating: 1 / Double(count), count: count))
        // The standard deviation of a pixel is 0.09: of a mean 0.0007, of a covariance 0.0001.
        expectClose(found.mean, expected.mean, absolute: 0.004)
        expectClose(found.covariance, expected.covariance, absolute: 0.0006)
    }

    @Test func `draws depend on the seed alone`() throws {
        let mixture = try Self.mixture(Self.images(80, seed: 13), components: 2, rank: 2)
        let first = mixture.images(count: 50, seed: 1)
        #expect(first.count == 50 * Self.width)
        #expect(mixture.images(count: 50, seed: 1) == first)
        #expect(mixture.images(count: 20, seed: 1) == Array(first[..<(20 * Self.width)]))
        #expect(mixture.images(count: 50, seed: 2) != first)
    }

    @Test func `pixels beyond black and white are cut off`() throws {
        let images = (0..<32 * Self.width).map { UInt8($0 / Self.width % 2 == 0 ? 0 : 255) }
        let mixture = try Self.mixture(images, components: 1, rank: 1)
        let drawn = mixture.images(count: 200, seed: 0)
        #expect(drawn.contains(0) && drawn.contains(255))
    }

    // MARK: - Storage

    @Test func `storage counts means, directions, shares and numbers of images`() throws {
        let size = FormSize(try TinyModel().base.layout)
        #expect(size.mixture(components: 3, rank: 2) == 3 * (784 * 3 + 2))
        #expect(FormSize.largeEncoder.mixture(components: 1, rank: 0) == 150_530)
    }
}
