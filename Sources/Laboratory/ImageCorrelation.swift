import LinearAlgebra

/// For each decoded row the most similar image of a set, by Pearson's correlation over the pixels.
///
/// The sign of a row is arbitrary, so the correlation's sign does not count. Nor do brightness and contrast.
struct ImageCorrelation: Sendable {
    /// A row with its most similar image.
    struct Nearest: Sendable, Equatable {
        let row: Int
        let image: Int
        /// Which of the ways to decode the row.
        let decoding: Int
        /// From −1 to 1.
        let correlation: Double
    }

    /// One for each row, in the rows' order.
    let nearest: [Nearest]

    /// Compares all rows with all images.
    ///
    /// - Parameters:
    ///   - decodings: `[rows, pixels]`, for each way to decode the same rows; the best counts.
    ///   - images: `[images, pixels]`, at least one image.
    ///   - pixelCount: The number of an image's pixels.
    /// - Throws: `LinearAlgebraError` without memory.
    init(of decodings: [[Double]], with images: [UInt8], pixelCount: Int) throws(LinearAlgebraError) {
        let imageCount = images.count / pixelCount
        let others = try Matrix<Double>(
            rows: imageCount, columns: pixelCount,
            elements: Self.standardized(images.map { Double($0) }, pixelCount: pixelCount))
        var best: [Nearest] = []
        for (decoding, decoded) in decodings.enumerated() {
            let rowCount = decoded.count / pixelCount
            let rows = try Matrix<Double>(
                rows: rowCount, columns: pixelCount, elements: Self.standardized(decoded, pixelCount: pixelCount))
            var products = try Matrix<Double>(rows: rowCount, columns: imageCount)
            try products.addProduct(rows, .none, others, .transposed)
            let correlations = products.elements
            for row in 0..<rowCount {
                let own = correlations[row * imageCount..<(row + 1) * imageCount]
                guard let place = own.indices.max(by: { own[$0].magnitude < own[$1].magnitude }) else { continue }
                let found = Nearest(
                    row: row, image: place - own.startIndex, decoding: decoding, correlation: own[place])
                if row == best.count {
                    best.append(found)
                } else if found.correlation.magnitude > best[row].correlation.magnitude {
                    best[row] = found
                }
            }
        }
        nearest = best
    }

    /// The mean over rows of the magnitude.
    var mean: Double { nearest.reduce(0) { $0 + $1.correlation.magnitude } / Double(max(1, nearest.count)) }

    /// The largest magnitude of all rows.
    var largest: Double { nearest.map(\.correlation.magnitude).max() ?? 0 }

    /// Each row minus its mean, with length 1; a row without contrast is 0 and correlates with nothing.
    private static func standardized(_ rows: [Double], pixelCount: Int) -> [Double] {
        var result: [Double] = []
        result.reserveCapacity(rows.count)
        for start in stride(from: 0, to: rows.count, by: pixelCount) {
            let row = rows[start..<start + pixelCount]
            let mean = row.reduce(0, +) / Double(pixelCount)
            let length = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }.squareRoot()
            let scale = length > 1e-12 * mean.magnitude ? 1 / length : 0
            for value in row { result.append(scale * (value - mean)) }
        }
        return result
    }
}
