import LinearAlgebra

/// A mixture of Gaussians in the space of pixels, which stands for the images of one or more tasks.
///
/// Each component has a mean and a covariance of low rank. An owner shares these in place of its images. Others draw
/// images from the mixture, and keep ‖J τ‖² small on them: so the penalty has the model's exact Jacobian, all layers
/// and positions together, and only its inputs are approximate.
///
/// Source: DESIGN section 2.2, input mixture.
public struct InputMixture: Sendable {
    /// The size of a mixture.
    public struct Settings: Sendable, Hashable {
        /// The most components, of one task as of many.
        public var componentCount: Int
        /// The rank of a component's covariance.
        public var rank: Int

        /// The size of a mixture.
        public init(componentCount: Int, rank: Int) {
            self.componentCount = componentCount
            self.rank = rank
        }
    }

    /// The fewest images of a component, so that its mean is no image.
    public static let leastImages = 16

    /// The size.
    public let settings: Settings
    /// The number of tasks.
    let taskCount: Int
    /// The share of each component; the sum is 1.
    let shares: [Double]
    /// The number of images that each component stands for.
    let imageCounts: [Int]
    /// Pixels from 0 to 1, `[components, pixels]`.
    let means: [Float]
    /// R of the covariance Rᵀ R, `[components, rank, pixels]`.
    let directions: [Float]
    /// The pixels of an image.
    let width: Int

    /// The mixture of one task's images.
    ///
    /// - Parameters:
    ///   - images: `[images, pixels]`, grey, at least one.
    ///   - width: The pixels of an image.
    ///   - settings: The size.
    /// - Throws: ``LaboratoryError/compression(_:)`` when a decomposition fails.
    public init(of images: [UInt8], width: Int, settings: Settings) throws(LaboratoryError) {
        let count = images.count / width
        precondition(count > 0 && images.count == count * width, "a mixture is made of whole images")
        let points = Points(
            shares: [Double](repeating: 1 / Double(count), count: count),
            imageCounts: [Int](repeating: 1, count: count),
            means: images.map { Float($0) / 255 }, directions: [], rank: 0, width: width)
        try self.init(reducing: points, taskCount: 1, settings: settings)
    }

    /// Combines mixtures of equal settings into one of all their tasks, which has no more components than each of them.
    ///
    /// - Throws: ``LaboratoryError/usage(_:)`` for no mixture, or ``LaboratoryError/compression(_:)``.
    public static func accumulated(_ mixtures: [InputMixture]) throws(LaboratoryError) -> InputMixture {
        guard let first = mixtures.first else { throw .noOtherTask }
        precondition(mixtures.allSatisfy { $0.settings == first.settings && $0.width == first.width }, "equal settings")
        let taskCount = mixtures.reduce(0) { $0 + $1.taskCount }
        let points = Points(
            shares: mixtures.flatMap { mixture in
                mixture.shares.map { $0 * Double(mixture.taskCount) / Double(taskCount) }
            },
            imageCounts: mixtures.flatMap(\.imageCounts), means: mixtures.flatMap(\.means),
            directions: mixtures.flatMap(\.directions), rank: first.settings.rank, width: first.width)
        return try InputMixture(reducing: points, taskCount: taskCount, settings: first.settings)
    }

    /// Draws images.
    ///
    /// - Parameters:
    ///   - count: The number of images.
    ///   - seed: The seed of the draws.
    /// - Returns: `[count, pixels]`, cut off at black and white.
    public func images(count: Int, seed: Int) -> [UInt8] {
        var random = SeededRandom(seed: seed, purpose: "images of a mixture")
        let rank = settings.rank
        var images: [UInt8] = []
        images.reserveCapacity(count * width)
        for _ in 0..<count {
            var rest = Double.random(in: 0..<1, using: &random)
            var component = 0
            while component + 1 < shares.count, rest >= shares[component] {
                rest -= shares[component]
                component += 1
            }
            var pixels = Array(means[component * width..<(component + 1) * width])
            for direction in component * rank..<(component + 1) * rank {
                let length = Float(random.nextNormal())
                for pixel in 0..<width { pixels[pixel] += length * directions[direction * width + pixel] }
            }
            images += pixels.map { UInt8(max(0, min(255, ($0 * 255).rounded()))) }
        }
        return images
    }

    // MARK: - Reduction

    /// Weighted Gaussians, or images, that a mixture is made of.
    private struct Points {
        let shares: [Double]
        let imageCounts: [Int]
        let means: [Float]
        let directions: [Float]
        let rank: Int
        let width: Int
    }

    /// Each cluster of points becomes one component of the same mean; its covariance keeps the leading directions.
    private init(reducing points: Points, taskCount: Int, settings: Settings) throws(LaboratoryError) {
        let clusters = WardClusters(
            of: points.means, width: points.width, masses: points.shares, counts: points.imageCounts,
            most: settings.componentCount, least: Self.leastImages)
        var (means, directions): ([Float], [Float]) = ([], [])
        for members in clusters.members {
            let (mean, rows) = Self.moments(of: members, points)
            means += mean
            directions += try Self.leading(settings.rank, of: rows, width: points.width)
        }
        self.settings = settings
        self.taskCount = taskCount
        self.means = means
        self.directions = directions
        shares = clusters.members.map { $0.reduce(0) { $0 + points.shares[$1] } }
        imageCounts = clusters.members.map { $0.reduce(0) { $0 + points.imageCounts[$1] } }
        width = points.width
    }

    /// The mean of some points together, and rows X with their covariance Xᵀ X.
    private static func moments(of members: [Int], _ points: Points) -> (mean: [Float], rows: [Float]) {
        let width = points.width
        let total = members.reduce(0) { $0 + points.shares[$1] }
        var sums = [Double](repeating: 0, count: width)
        for member in members {
            for pixel in 0..<width {
                sums[pixel] += points.shares[member] / total * Double(points.means[member * width + pixel])
            }
        }
        let mean = sums.map { Float($0) }
        var rows: [Float] = []
        for member in members {
            let scale = Float((points.shares[member] / total).squareRoot())
            for pixel in 0..<width { rows.append(scale * (points.means[member * width + pixel] - mean[pixel])) }
            let own = member * points.rank * width..<(member + 1) * points.rank * width
            rows += points.directions[own].map { scale * $0 }
        }
        return (mean, rows)
    }

    /// Qᵀ X with the leading eigenvectors Q of X Xᵀ, filled up with zeros to the rank.
    private static func leading(_ rank: Int, of rows: [Float], width: Int) throws(LaboratoryError) -> [Float] {
        var result = [Float](repeating: 0, count: rank * width)
        let count = rows.count / width
        guard rank > 0 else { return result }
        let (block, square) = (MatrixBlock(rows: count, columns: width), MatrixBlock(rows: count, columns: count))
        var gram = [Float](repeating: 0, count: count * count)
        BlockProduct.multiply(rows, block, .none, rows, block, .transposed, into: &gram, square)
        let eigenvectors = try compressing { () throws(LinearAlgebraError) in
            try LeadingEigenvectors(of: gram, dimension: count, rank: rank)
        }
        BlockProduct.multiply(
            eigenvectors.rows, MatrixBlock(rows: eigenvectors.count, columns: count), .none, rows, block, .none,
            into: &result, MatrixBlock(rows: eigenvectors.count, columns: width))
        return result
    }
}
