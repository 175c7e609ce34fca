/// The inner products of the models' values, which tell everything about a combination of them.
public struct InnerProducts: Sendable {
    /// The number of vectors.
    public let count: Int
    /// `[count, count]`, symmetric.
    private var products: [Double]

    /// All zero.
    init(count: Int) {
        self.count = count
        products = [Double](repeating: 0, count: count * count)
    }

    /// Adds to the product of two vectors.
    mutating func add(_ product: Double, _ first: Int, _ second: Int) {
        products[first * count + second] += product
        if first != second { products[second * count + first] += product }
    }

    /// The product of two vectors.
    subscript(first: Int, second: Int) -> Double { products[first * count + second] }

    /// ‖x_i‖.
    func norm(_ vector: Int) -> Double { self[vector, vector].squareRoot() }

    /// ⟨x_i, Σ c_j x_j⟩.
    func product(_ vector: Int, with factors: [Double]) -> Double {
        factors.indices.reduce(0) { $0 + self[vector, $1] * factors[$1] }
    }

    /// ‖Σ c_i x_i‖.
    func norm(of factors: [Double]) -> Double {
        // Rounding can make the square of a short combination of long vectors negative.
        max(0, factors.indices.reduce(0) { $0 + factors[$1] * product($1, with: factors) }).squareRoot()
    }
}
