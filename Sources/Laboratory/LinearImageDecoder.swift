import LinearAlgebra

/// Reads images from inputs of the first layer by a linear map that was fitted to public images: ridge regression in
/// fp64.
///
/// The map of a sum of rows is the sum of their images. So what is fitted to rows of single images holds for any
/// combination of rows.
struct LinearImageDecoder: Sendable {
    private let inputWidth: Int
    private let pixelCount: Int
    /// `[inputs, pixels]`.
    private let map: [Double]
    /// The chosen ridge, as a share of the mean square of an input.
    let ridge: Double

    /// The ridges to choose from.
    static let ridges = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    /// One image of this many chooses the ridge; the others are fitted.
    private static let choosingInterval = 5

    /// Fits the map for each ridge, and keeps that with the least error on public images that were not fitted.
    ///
    /// - Parameters:
    ///   - inputs: `[images, inputs]`; the bias's 1 is among the inputs, so the map needs no constant.
    ///   - images: `[images, pixels]`.
    ///   - count: The number of images, at least 2.
    /// - Throws: `LinearAlgebraError` for inputs that are not finite.
    init(inputs: [Float], images: [UInt8], count: Int) throws(LinearAlgebraError) {
        let (inputWidth, pixelCount) = (inputs.count / count, images.count / count)
        let chosen = (0..<count).filter { $0 % Self.choosingInterval == Self.choosingInterval - 1 || $0 == count - 1 }
        let fitted = (0..<count).filter { !chosen.contains($0) }
        func rows(_ numbers: [Int]) throws(LinearAlgebraError) -> Matrix<Double> {
            try Matrix(
                rows: numbers.count, columns: inputWidth,
                elements: numbers.flatMap { inputs[$0 * inputWidth..<($0 + 1) * inputWidth].map(Double.init) })
        }
        func targets(_ numbers: [Int]) throws(LinearAlgebraError) -> Matrix<Double> {
            try Matrix(
                rows: numbers.count, columns: pixelCount,
                elements: numbers.flatMap { images[$0 * pixelCount..<($0 + 1) * pixelCount].map { Double($0) / 255 } })
        }
        let fittedRows = try rows(fitted)
        let choosing = try rows(chosen)
        var gram = try Matrix<Double>(rows: inputWidth, columns: inputWidth)
        try gram.addProduct(fittedRows, .transposed, fittedRows)
        var products = try Matrix<Double>(rows: inputWidth, columns: pixelCount)
        try products.addProduct(fittedRows, .transposed, try targets(fitted))
        let (square, right) = (gram.elements, products.elements)
        let mean = (0..<inputWidth).reduce(0) { $0 + square[$1 * (inputWidth + 1)] } / Double(inputWidth)
        var best: (error: Double, ridge: Double, map: [Double])?
        for ridge in Self.ridges {
            var matrix = try Matrix<Double>(rows: inputWidth, columns: inputWidth, elements: square)
            matrix.addToDiagonal(ridge * mean)
            var map = try Matrix<Double>(rows: inputWidth, columns: pixelCount, elements: right)
            try CholeskyFactor(factorizing: matrix).solve(&map, on: .left)
            var difference = try targets(chosen)
            try difference.addProduct(choosing, .none, map, scale: -1)
            let error = try difference.frobeniusNorm()
            if error < best?.error ?? .infinity { best = (error, ridge, map.elements) }
        }
        guard let best else { throw .nonFinite(row: 0) }
        (self.inputWidth, self.pixelCount) = (inputWidth, pixelCount)
        (ridge, map) = (best.ridge, best.map)
    }

    /// Applies the map.
    ///
    /// - Parameter rows: `[rows, inputs]`.
    /// - Returns: `[rows, pixels]`, with 1 for white.
    /// - Throws: `LinearAlgebraError` without memory.
    func images(of rows: [Float]) throws(LinearAlgebraError) -> [Double] {
        let count = rows.count / inputWidth
        var images = try Matrix<Double>(rows: count, columns: pixelCount)
        try images.addProduct(
            Matrix(rows: count, columns: inputWidth, elements: rows.map(Double.init)), .none,
            Matrix(rows: inputWidth, columns: pixelCount, elements: map))
        return images.elements
    }
}
