import LinearAlgebra

/// The storage of a symmetric matrix in a file.
public enum CurvatureStorage: String, Sendable, CaseIterable {
    /// `[n, n]`, both triangles, which other programs can read.
    case full
    /// `[n(n + 1)/2]`, the lower triangle row by row: half the bytes.
    case packed

    /// The dimension of a matrix of this shape; nil for a shape of another storage.
    func dimension(ofShape shape: [Int]) -> Int? {
        switch self {
        case .full: return shape.count == 2 && shape[0] == shape[1] && shape[0] > 0 ? shape[0] : nil
        case .packed:
            guard shape.count == 1, shape[0] > 0, shape[0] < 1 << 58 else { return nil }
            var dimension = Int((2 * Double(shape[0])).squareRoot())
            while dimension * (dimension + 1) / 2 > shape[0] { dimension -= 1 }
            while (dimension + 1) * (dimension + 2) / 2 <= shape[0] { dimension += 1 }
            return dimension * (dimension + 1) / 2 == shape[0] ? dimension : nil
        }
    }

    /// A stored matrix of this shape; nil for a shape of another storage, or one whose row fits in no buffer.
    ///
    /// - Parameters:
    ///   - shape: The tensor's shape.
    ///   - isDiagonal: Whether it is the diagonal alone, which both storages hold as a vector.
    /// - Returns: The matrix's shape.
    func symmetricShape(of shape: [Int], isDiagonal: Bool) -> SymmetricShape? {
        guard isDiagonal else {
            return dimension(ofShape: shape).flatMap { $0 < 1 << 24 ? .full($0) : nil }
        }
        guard shape.count == 1, shape[0] > 0, shape[0] < 1 << 31 else { return nil }
        return .diagonal(shape[0])
    }

    /// The tensor's shape of a matrix of this shape.
    func tensorShape(of shape: SymmetricShape) -> [Int] {
        switch shape {
        case .diagonal(let dimension): [dimension]
        case .full(let dimension):
            self == .full ? [dimension, dimension] : [dimension * (dimension + 1) / 2]
        }
    }
}
