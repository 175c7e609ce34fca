import LinearAlgebra
import ReferenceModel

/// Reads images from inputs of the first layer by the model alone: it needs no data.
///
/// A token is h = W x + b for the pixels x of a patch, with the patch's position in b. The first layer's input is
/// a = s₁ ∘ N(s₀ ∘ N(h) + t₀) + t₁, where N subtracts a row's mean and divides by its deviation. A sum over samples
/// with coefficients q_n is then linear in what is unknown:
///
/// Σ q_n a_n = s₁ ∘ (s₀ ∘ (W X + κ b + μ 1) + κ′ t₀ + μ′ 1) + σ t₁, where X = Σ w_n x_n, κ = Σ w_n, and
/// w_n = q_n / (d₀ d₁) has the two deviations of the sample's token. The bias's 1 gives σ = Σ q_n. Least squares find
/// X and κ.
///
/// Source: DESIGN section 2.2, what rows tell.
struct FirstLayerDecoder: Sendable {
    private let shape: VisionTransformerShape
    /// t₁.
    private let shift: [Double]
    /// For each patch the columns of X, κ, μ, κ′ and μ′, of unit length: `[width, unknowns]`.
    private let columns: [[Double]]
    /// The columns' former lengths.
    private let lengths: [[Double]]

    private static let besidePixels = 4
    /// The share of the columns' squares that is added to the diagonal of the least-squares problem.
    private static let ridge = 1e-9

    init(_ base: BaseModel) {
        func values(_ name: String) -> [Double] {
            guard let entry = base.layout.entries.first(where: { $0.name == name }) else {
                preconditionFailure("every layout has \(name)")
            }
            return base.parameters[entry.range].map(Double.init)
        }
        let shape = base.embedding.shape
        let (before, first) = ("ln_pre", "blocks.0.ln1")
        let (outer, outerShift) = (values("\(before).weight"), values("\(before).bias"))
        let inner = values("\(first).weight")
        var (columns, lengths): ([[Double]], [[Double]]) = ([], [])
        for patch in 1..<shape.positionCount {
            let unknownCount = shape.patchPixelCount + Self.besidePixels
            var matrix: [Double] = []
            for row in 0..<shape.width {
                let constant = Double(base.embedding.bias[row] + base.embedding.positions[patch * shape.width + row])
                let pixels = base.embedding.weight[row * shape.patchPixelCount..<(row + 1) * shape.patchPixelCount]
                let scaled = pixels.map { outer[row] * Double($0) }
                matrix += (scaled + [outer[row] * constant, outer[row], outerShift[row], 1]).map { inner[row] * $0 }
            }
            var squares = [Double](repeating: 0, count: unknownCount)
            for (place, value) in matrix.enumerated() { squares[place % unknownCount] += value * value }
            let length = squares.map { $0 > 0 ? $0.squareRoot() : 1 }
            columns.append(matrix.enumerated().map { $1 / length[$0 % unknownCount] })
            lengths.append(length)
        }
        self.shape = shape
        shift = values("\(first).bias")
        (self.columns, self.lengths) = (columns, lengths)
    }

    /// The sums X and κ of each row and patch.
    struct Sums: Sendable {
        /// `[rows, patches, pixels]`; pixels are those that the model sees, after their normalisation.
        let pixels: [Double]
        /// `[rows, patches]`.
        let weights: [Double]
        fileprivate let shape: VisionTransformerShape

        /// Each row as one image, X / κ, as is right for the row of one sample: `[rows, 28, 28]`.
        var asOneImage: [Double] {
            // A weight of 0 has no image; the pixels then stay as they are.
            images(scales: weights.map { $0 != 0 ? 1 / $0 : 1 })
        }

        /// Each row as a sum of images, X d₀ d₁, as if all samples had the same deviations.
        ///
        /// - Parameter deviations: d₀ d₁ for each patch.
        /// - Returns: `[rows, 28, 28]`.
        func asMixture(deviations: [Double]) -> [Double] {
            images(scales: weights.indices.map { deviations[$0 % deviations.count] })
        }

        private func images(scales: [Double]) -> [Double] {
            let (side, patchSide, perSide) = (VisionTransformerShape.imageSide, shape.patchSide, shape.patchesPerSide)
            let patchCount = perSide * perSide
            var images = [Double](repeating: 0, count: pixels.count)
            for (number, scale) in scales.enumerated() {
                let (row, patch) = (number / patchCount, number % patchCount)
                for pixel in 0..<shape.patchPixelCount {
                    let y = patch / perSide * patchSide + pixel / patchSide
                    let x = patch % perSide * patchSide + pixel % patchSide
                    images[(row * side + y) * side + x] = scale * pixels[number * shape.patchPixelCount + pixel]
                }
            }
            return images
        }
    }

    /// Decodes rows of the first layer's inputs.
    ///
    /// - Parameter rows: `[rows, positions, width + 1]`; the last element is the bias's.
    /// - Returns: The sums of each row and patch.
    /// - Throws: `LinearAlgebraError.nonFinite` for rows that are not finite.
    func sums(of rows: [Float]) throws(LinearAlgebraError) -> Sums {
        let (width, patchCount) = (shape.width, shape.positionCount - 1)
        let rowSize = shape.positionCount * (width + 1)
        if let place = rows.firstIndex(where: { !$0.isFinite }) { throw .nonFinite(row: place / rowSize) }
        let count = rows.count / rowSize
        let unknownCount = shape.patchPixelCount + Self.besidePixels
        var pixels = [Double](repeating: 0, count: count * patchCount * shape.patchPixelCount)
        var weights = [Double](repeating: 0, count: count * patchCount)
        for patch in 0..<patchCount {
            var known: [Double] = []
            known.reserveCapacity(count * width)
            for row in 0..<count {
                let start = (row * shape.positionCount + patch + 1) * (width + 1)
                let bias = Double(rows[start + width])
                for index in 0..<width { known.append(Double(rows[start + index]) - bias * shift[index]) }
            }
            let matrix = try Matrix(rows: width, columns: unknownCount, elements: columns[patch])
            var square = try Matrix<Double>(rows: unknownCount, columns: unknownCount)
            try square.addProduct(matrix, .transposed, matrix)
            square.addToDiagonal(Self.ridge)
            var solved = try Matrix<Double>(rows: count, columns: unknownCount)
            try solved.addProduct(Matrix(rows: count, columns: width, elements: known), .none, matrix)
            try CholeskyFactor(factorizing: square).solve(&solved, on: .right)
            let solution = solved.elements
            for row in 0..<count {
                let (from, place) = (row * unknownCount, row * patchCount + patch)
                for pixel in 0..<shape.patchPixelCount {
                    pixels[place * shape.patchPixelCount + pixel] = solution[from + pixel] / lengths[patch][pixel]
                }
                let weight = shape.patchPixelCount
                weights[place] = solution[from + weight] / lengths[patch][weight]
            }
        }
        return Sums(pixels: pixels, weights: weights, shape: shape)
    }
}
