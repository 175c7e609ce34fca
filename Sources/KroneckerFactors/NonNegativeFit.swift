import LinearAlgebra

/// The inner products of factors scaled to norm 1.
///
/// They are non-negative, since the factors are positive semi-definite, and the diagonal holds ones. So nothing over-
/// or underflows from here on, whatever the magnitudes of the tasks' factors.
struct UnitGram: Sendable {
    let count: Int
    private var elements: [Double]

    /// Takes the rows and columns of `tasks`; their factors have the positive `norms`.
    init(_ products: FactorInnerProducts, of tasks: [Int], norms: [Double]) {
        count = tasks.count
        elements = []
        for first in tasks.indices {
            for second in tasks.indices {
                let product = products[tasks[first], tasks[second]] / norms[first] / norms[second]
                // Rounding can make the product of nearly orthogonal factors negative.
                elements.append(first == second ? 1 : product.clampedToZero)
            }
        }
    }

    subscript(first: Int, second: Int) -> Double { elements[first * count + second] }

    func times(_ vector: [Double]) -> [Double] {
        (0..<count).map { row in
            var sum = 0.0
            for column in 0..<count { sum += elements[row * count + column] * vector[column] }
            return sum
        }
    }
}

/// Σ_t m_t b_t ⊗ a_t, with b and a of norm 1, approximated by a few products of non-negative combinations of b and of
/// a.
///
/// All values are coordinates in the tasks. A product of combinations v of b and u of a is the matrix v uᵀ, and the
/// whole is diag(m). The distance of two such matrices follows from the Gram matrices alone. The method is alternating
/// least squares: with everything else fixed, v solves a non-negative least-squares problem in the metric of b's Gram
/// matrix, and so does u with a's. The method is sequential and deterministic: equal input gives equal bits.
struct NonNegativeFit: Sendable {
    /// A product, as the coordinates of its two sides.
    struct Term: Sendable {
        /// v.
        var gradient: [Double]
        /// u.
        var input: [Double]
    }

    let gradients: UnitGram
    let inputs: UnitGram
    /// m, scaled so that the largest is 1.
    let weights: [Double]
    /// ‖Σ m_t b_t ⊗ a_t‖².
    let wholeSquare: Double

    init(gradients: UnitGram, inputs: UnitGram, weights: [Double]) {
        (self.gradients, self.inputs, self.weights) = (gradients, inputs, weights)
        wholeSquare = weights.indices.reduce(0) { sum, first in
            sum
                + weights.indices.reduce(0) { row, second in
                    row + weights[first] * weights[second] * gradients[first, second] * inputs[first, second]
                }
        }
    }

    /// The most sweeps over all terms, converged or not.
    private static let sweepLimit = 2000
    /// The sweeps for each trial start of another term; then only the best continues.
    private static let trialSweeps = 30
    /// The sweeps of the coordinate descent when the least-squares solution would be negative.
    private static let coordinateSweeps = 20
    /// The descent ends after a sweep that lowers the squared error by less than this share.
    private static let stagnation = 1e-12

    /// At most `count` terms, the largest first.
    ///
    /// If there are no more tasks than that, the terms are the tasks' own products.
    func terms(count: Int) -> [Term] {
        guard count < weights.count else {
            return sorted(weights.indices.map { Term(gradient: unit($0, times: weights[$0]), input: unit($0)) })
        }
        var terms = descended([leadingTerm()], sweeps: Self.sweepLimit)
        while terms.count < count, let more = extended(terms) { terms = more }
        return sorted(terms)
    }

    /// ‖Σ m_t b_t ⊗ a_t − Σ_k v_k ⊗ u_k‖², from diag(m) − Σ_k v_k u_kᵀ; it is 0 where that difference is 0.
    func squaredError(_ terms: [Term]) -> Double {
        let residual = weights.indices.map { row in
            var elements = unit(row, times: weights[row])
            for term in terms {
                for column in elements.indices { elements[column] -= term.gradient[row] * term.input[column] }
            }
            return elements
        }
        let images = residual.map(inputs.times)
        var sum = 0.0
        for first in weights.indices {
            for second in weights.indices { sum += gradients[first, second] * dot(residual[second], images[first]) }
        }
        return sum.clampedToZero
    }

    /// The same from the differences of three sums.
    ///
    /// It is faster by a factor of the number of tasks, and precise enough for the descent, but has a rounding error of
    /// 1e-16 of the whole.
    private func fastSquaredError(_ terms: [Term]) -> Double {
        let images = terms.map { (gradient: gradients.times($0.gradient), input: inputs.times($0.input)) }
        var sum = wholeSquare
        for (term, image) in zip(terms, images) {
            for task in weights.indices { sum -= 2 * weights[task] * image.gradient[task] * image.input[task] }
            for other in images { sum += dot(term.gradient, other.gradient) * dot(term.input, other.input) }
        }
        return sum.clampedToZero
    }

    private func unit(_ task: Int, times value: Double = 1) -> [Double] {
        var vector = [Double](repeating: 0, count: weights.count)
        vector[task] = value
        return vector
    }

    private func dot(_ left: [Double], _ right: [Double]) -> Double {
        var sum = 0.0
        for index in left.indices { sum += left[index] * right[index] }
        return sum
    }

    /// The terms by falling norm, without zero terms.
    private func sorted(_ terms: [Term]) -> [Term] {
        terms.map { term in
            let square = dot(term.gradient, gradients.times(term.gradient)) * dot(term.input, inputs.times(term.input))
            return (term: term, square: square)
        }.filter { $0.square > 0 }.sorted { $0.square > $1.square }.map(\.term)
    }
}

// MARK: - One term

extension NonNegativeFit {
    /// The direction of the leading singular pair, by power iteration.
    ///
    /// One step is the non-negative matrix diag(m) Gb diag(m) Ga. Repeated squaring takes 2^30 steps in 30. So neither
    /// a start that hardly overlaps with the leading pair nor a close second pair stops it early.
    private func leadingTerm() -> Term {
        let count = weights.count
        var step = weights.indices.map { row in
            weights.indices.map { column in
                weights.indices.reduce(0) { $0 + weights[row] * gradients[row, $1] * weights[$1] * inputs[$1, column] }
            }
        }
        for _ in 0..<30 {
            let largest = step.joined().largest() ?? 0
            let scaled = step.map { $0.map { $0 / largest } }
            step = scaled.map { row in
                var product = [Double](repeating: 0, count: count)
                for inner in 0..<count where row[inner] > 0 {
                    for column in 0..<count { product[column] += row[inner] * scaled[inner][column] }
                }
                return product
            }
        }
        let input = step.map { dot($0, weights) }
        let largest = input.largest() ?? 1
        var terms = [Term(gradient: unit(0, times: 0), input: input.map { $0 / largest })]
        refit(0, of: &terms)
        return terms[0]
    }

    /// Refits both sides of a term with the others fixed.
    ///
    /// The error does not grow.
    private func refit(_ index: Int, of terms: inout [Term]) {
        refit(index, of: &terms, \.gradient, gradients, against: \.input, inputs)
        refit(index, of: &terms, \.input, inputs, against: \.gradient, gradients)
    }

    /// Refits one side of a term with everything else fixed: by least squares if the solution is non-negative, else by
    /// non-negative coordinate descent.
    private func refit(
        _ index: Int, of terms: inout [Term],
        _ own: WritableKeyPath<Term, [Double]>, _ ownGram: UnitGram,
        against other: KeyPath<Term, [Double]>, _ otherGram: UnitGram
    ) {
        let image = otherGram.times(terms[index][keyPath: other])
        let square = dot(terms[index][keyPath: other], image)
        // A term whose other side is zero does not constrain this side.
        guard square > 0 else { return }
        var best = weights.indices.map { weights[$0] * image[$0] / square }
        for (position, term) in terms.enumerated() where position != index {
            let overlap = dot(term[keyPath: other], image) / square
            let side = term[keyPath: own]
            for task in best.indices { best[task] -= overlap * side[task] }
        }
        if best.contains(where: { $0 < 0 }) {
            best = nonNegative(best, from: terms[index][keyPath: own], ownGram)
        }
        terms[index][keyPath: own] = best
    }

    /// Coordinate descent from a non-negative vector to the non-negative vector nearest to `best` in the metric of
    /// `gram`.
    private func nonNegative(_ best: [Double], from start: [Double], _ gram: UnitGram) -> [Double] {
        var vector = start
        var slope = gram.times(vector.indices.map { vector[$0] - best[$0] })
        for _ in 0..<Self.coordinateSweeps {
            for index in vector.indices {
                let value = (vector[index] - slope[index]).clampedToZero
                let change = value - vector[index]
                guard change != 0 else { continue }
                vector[index] = value
                for other in slope.indices { slope[other] += change * gram[other, index] }
            }
        }
        return vector
    }
}

// MARK: - Several terms

extension NonNegativeFit {
    /// Sweeps over the terms until the error stagnates.
    ///
    /// The error does not grow.
    private func descended(_ start: [Term], sweeps: Int) -> [Term] {
        var terms = start
        var error = fastSquaredError(terms)
        for _ in 0..<sweeps {
            var next = terms
            for index in next.indices { refit(index, of: &next) }
            let nextError = fastSquaredError(next)
            guard nextError < error else { break }
            let isStagnant = error - nextError < Self.stagnation * error
            (terms, error) = (next, nextError)
            if isStagnant { break }
        }
        return terms
    }

    /// Adds one term: the best of those that start at each task; nil when none lowers the error.
    private func extended(_ terms: [Term]) -> [Term]? {
        var (best, error): ([Term]?, Double) = (nil, fastSquaredError(terms))
        for task in weights.indices {
            var trial = terms + [Term(gradient: unit(task, times: 0), input: unit(task))]
            refit(terms.count, of: &trial)
            trial = descended(trial, sweeps: Self.trialSweeps)
            let trialError = fastSquaredError(trial)
            if trialError < error { (best, error) = (trial, trialError) }
        }
        return best.map { descended($0, sweeps: Self.sweepLimit) }
    }
}
