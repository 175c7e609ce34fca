import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

/// Factors of several tasks in one layer, as full squares and as inner products.
private struct Family {
    var inputs: [[Double]] = []
    var gradients: [[Double]] = []
    var inputProducts: FactorInnerProducts
    var gradientProducts: FactorInnerProducts

    init(inputs packedInputs: [[Float]], gradients packedGradients: [[Float]]) throws {
        func squares(_ packed: [[Float]]) throws -> [[Double]] {
            try packed.map { elements in
                let dimension = PackedTriangle.row(containing: elements.count)
                return square(try PackedSymmetricMatrix<Float>(dimension: dimension, elements: elements))
            }
        }
        func products(_ packed: [[Float]]) throws -> FactorInnerProducts {
            var products = FactorInnerProducts(taskCount: packed.count)
            for first in packed.indices {
                for second in first..<packed.count {
                    let (left, right) = (packed[first], packed[second])
                    try products.add(left.span, right.span, tasks: first, second, firstElement: 0, of: .full(1))
                }
            }
            return products
        }
        inputs = try squares(packedInputs)
        gradients = try squares(packedGradients)
        inputProducts = try products(packedInputs)
        gradientProducts = try products(packedGradients)
    }

    /// Random factors with few rows, so that tasks overlap only in part, and with very different magnitudes.
    init(taskCount: Int, _ random: inout SplitMix64) throws {
        func packed(_ dimension: Int) throws -> [[Float]] {
            try (0..<taskCount).map { _ in
                let rows = (0..<1 + Int(random.next() % 3)).map { _ in random.values(dimension) }
                let divisor = [1e-6, 0.01, 1, 40, 1e5][Int(random.next() % 5)]
                return try factor(of: rows, divisor: divisor).elements
            }
        }
        try self.init(inputs: packed(4), gradients: packed(3))
    }

    func optimal(_ lambdas: [Double], rank: Int, _ scale: RegularizerScale = .mean) throws -> OptimalAccumulation {
        try OptimalAccumulation(
            gradients: gradientProducts, inputs: inputProducts, lambdas: lambdas, rank: rank, scale: scale)
    }

    func errorOfEquation8(_ lambdas: [Double]) -> Double {
        AccumulationError.relative(gradients: gradientProducts, inputs: inputProducts, lambdas: lambdas)
    }

    /// Σ c_t X_t.
    static func sum(_ coefficients: [Double], _ matrices: [[Double]]) -> [Double] {
        matrices[0].indices.map { index in
            coefficients.indices.reduce(0) { $0 + coefficients[$1] * matrices[$1][index] }
        }
    }

    /// ‖Σ λ_t B_t⊗A_t − Σ_k B_k⊗A_k‖ / ‖Σ λ_t B_t⊗A_t‖ with the Kronecker products written out.
    func distance(_ terms: [OptimalAccumulation.Term], _ lambdas: [Double]) -> Double {
        var exact = Self.sum(lambdas, lambdas.indices.map { kroneckerProduct(gradients[$0], inputs[$0]) })
        let norm = exact.reduce(0) { $0 + $1 * $1 }
        for term in terms {
            let product = kroneckerProduct(
                Self.sum(term.gradientCoefficients, gradients), Self.sum(term.inputCoefficients, inputs))
            for index in exact.indices { exact[index] -= product[index] }
        }
        return (exact.reduce(0) { $0 + $1 * $1 } / norm).squareRoot()
    }

    /// The sine of the angle that remains with the best single product: √(1 − σ₁²/Σσ²) of Σ λ_t vec(B_t) vec(A_t)ᵀ.
    func errorOfLeadingSingularPair(_ lambdas: [Double]) throws -> Double {
        let (rows, columns) = (gradients[0].count, inputs[0].count)
        var square = [Double](repeating: 0, count: rows * rows)
        let rearranged = (0..<rows).map { row in
            (0..<columns).map { column in
                lambdas.indices.reduce(0) { $0 + lambdas[$1] * gradients[$1][row] * inputs[$1][column] }
            }
        }
        for first in 0..<rows {
            for second in 0..<rows {
                square[first * rows + second] = zip(rearranged[first], rearranged[second])
                    .reduce(0) { $0 + $1.0 * $1.1 }
            }
        }
        let trace = (0..<rows).reduce(0) { $0 + square[$1 * rows + $1] }
        let eigen = try SymmetricEigen(
            decomposing: try Matrix<Double>(rows: rows, columns: rows, elements: square.map { $0 / trace }))
        return max(0, 1 - (eigen.values.max() ?? 0)).squareRoot()
    }
}

private func lambdas(_ count: Int, _ random: inout SplitMix64) throws -> [Double] {
    let weights = try RegularizerWeights((0..<count).map { _ in random.nextSigned().magnitude + 0.01 })
    let target = Int(random.next() % UInt64(count + 1))
    return try weights.lambdas(excluding: target == count ? nil : target)
}

struct OptimalAccumulationTests {
    @Test func `one term is the leading singular pair`() throws {
        try forEachSeed(in: 0..<200) { _, random throws in
            let family = try Family(taskCount: 2 + Int(random.next() % 5), &random)
            let lambdas = try lambdas(family.inputs.count, &random)
            let found = try family.optimal(lambdas, rank: 1).relativeError
            expectClose(found, try family.errorOfLeadingSingularPair(lambdas), relative: 1e-8, absolute: 1e-7)
        }
    }

    @Test func `one term is never farther than eq 8 with its best scale`() throws {
        try forEachSeed(in: 0..<200) { _, random throws in
            let family = try Family(taskCount: 2 + Int(random.next() % 7), &random)
            let lambdas = try lambdas(family.inputs.count, &random)
            #expect(try family.optimal(lambdas, rank: 1).relativeError <= family.errorOfEquation8(lambdas) + 1e-7)
        }
    }

    @Test func `the error is that of the Kronecker products`() throws {
        try forEachSeed(in: 0..<20) { _, random throws in
            let family = try Family(taskCount: 4, &random)
            let lambdas = try lambdas(4, &random)
            for rank in 1...4 {
                let optimal = try family.optimal(lambdas, rank: rank)
                expectClose(optimal.relativeError, family.distance(optimal.terms, lambdas), absolute: 1e-7)
            }
        }
    }

    @Test func `every further term lowers the error until it is none`() throws {
        try forEachSeed(in: 0..<20) { _, random throws in
            let family = try Family(taskCount: 5, &random)
            let lambdas = try lambdas(5, &random)
            let errors = try (1...5).map { try family.optimal(lambdas, rank: $0).relativeError }
            for (fewer, more) in zip(errors, errors.dropFirst()) { #expect(more <= fewer) }
            #expect(errors[lambdas.count { $0 > 0 } - 1] == 0)
        }
    }

    @Test func `coefficients are not negative, and those of A sum to 1`() throws {
        try forEachSeed(in: 0..<20) { _, random throws in
            let family = try Family(taskCount: 5, &random)
            let lambdas = try lambdas(5, &random)
            for rank in 1...3 {
                for term in try family.optimal(lambdas, rank: rank).terms {
                    #expect((term.gradientCoefficients + term.inputCoefficients).allSatisfy { $0 >= 0 })
                    let sum = term.inputCoefficients.reduce(0, +)
                    if sum > 0 { expectClose(sum, 1, relative: 1e-14) }
                    // The omitted task is in no term.
                    for task in lambdas.indices where lambdas[task] == 0 {
                        #expect(term.gradientCoefficients[task] == 0 && term.inputCoefficients[task] == 0)
                    }
                }
            }
        }
    }

    @Test func `as many terms as tasks are the tasks themselves`() throws {
        var random = SplitMix64(seed: 5)
        let family = try Family(taskCount: 3, &random)
        let optimal = try family.optimal([0.5, 0, 0.5], rank: 3)
        #expect(optimal.relativeError == 0)
        #expect(optimal.terms.count == 3)
        let byTask = optimal.terms.sorted { $0.inputCoefficients[0] > $1.inputCoefficients[0] }
        expectClose(byTask[0].inputCoefficients, [1, 0, 0])
        expectClose(byTask[0].gradientCoefficients, [0.5, 0, 0], relative: 1e-14)
        let last = try #require(optimal.terms.last)
        #expect(last.inputCoefficients == [0, 0, 0] && last.gradientCoefficients == [0, 0, 0])
    }

    @Test func `one task is its own product`() throws {
        var random = SplitMix64(seed: 6)
        let family = try Family(taskCount: 1, &random)
        let optimal = try family.optimal([1], rank: 1)
        #expect(optimal.relativeError == 0)
        expectClose(optimal.terms[0].inputCoefficients, [1])
        expectClose(optimal.terms[0].gradientCoefficients, [1], relative: 1e-14)
    }

    @Test func `identical factors are one product`() throws {
        let a = try randomFactor(4, seed: 1).elements
        let b = try randomFactor(3, seed: 2).elements
        let family = try Family(inputs: [a, a, a], gradients: [b, b, b])
        let optimal = try family.optimal([0.2, 0.3, 0.5], rank: 1)
        expectClose(optimal.relativeError, 0, absolute: 1e-7)
        expectClose(family.distance(optimal.terms, [0.2, 0.3, 0.5]), 0, absolute: 1e-12)
    }

    @Test func `tasks in disjoint subspaces leave the largest`() throws {
        // diag(1, 0) and diag(0, 1); the second task is small in one side, but larger in the product.
        let family = try Family(inputs: [[1e6, 0, 0], [0, 0, 1]], gradients: [[1, 0, 0], [0, 0, 2e6]])
        let optimal = try family.optimal([0.5, 0.5], rank: 1)
        // G has the two singular values 0.5e6 and 1e6.
        expectClose(optimal.relativeError, (1.0 / 5).squareRoot(), relative: 1e-12)
        expectClose(optimal.terms[0].inputCoefficients, [0, 1], absolute: 1e-12)
        expectClose(optimal.terms[0].gradientCoefficients, [0, 0.5], absolute: 1e-12)
    }

    @Test func `zero factors get no coefficient`() throws {
        let (a, b) = (try randomFactor(2, seed: 3).elements, try randomFactor(2, seed: 4).elements)
        let zero: [Float] = [0, 0, 0]
        let family = try Family(inputs: [a, zero, a], gradients: [b, b, zero])
        let optimal = try family.optimal([0.25, 0.25, 0.5], rank: 1)
        #expect(optimal.relativeError == 0)
        expectClose(optimal.terms[0].inputCoefficients, [1, 0, 0])
        expectClose(optimal.terms[0].gradientCoefficients, [0.25, 0, 0], relative: 1e-14)

        let nothing = try Family(inputs: [a, a], gradients: [zero, zero]).optimal([0.5, 0.5], rank: 2)
        #expect(nothing.relativeError == 0)
        #expect(nothing.terms.count == 2)
        for term in nothing.terms {
            #expect(term.gradientCoefficients == [0, 0] && term.inputCoefficients == [0, 0])
        }
    }

    @Test func `scaling every weight scales B alone`() throws {
        var random = SplitMix64(seed: 7)
        let family = try Family(taskCount: 4, &random)
        let plain = try family.optimal([0.1, 0.2, 0.3, 0.4], rank: 2)
        let tripled = try family.optimal([0.3, 0.6, 0.9, 1.2], rank: 2)
        expectClose(tripled.relativeError, plain.relativeError, relative: 1e-9)
        for (one, three) in zip(plain.terms, tripled.terms) {
            expectClose(three.inputCoefficients, one.inputCoefficients, relative: 1e-6, absolute: 1e-9)
            expectClose(
                three.gradientCoefficients, one.gradientCoefficients.map { 3 * $0 }, relative: 1e-6, absolute: 1e-9)
        }
    }

    @Test func `the scale of the paper multiplies B by the number of summed tasks`() throws {
        var random = SplitMix64(seed: 8)
        let family = try Family(taskCount: 4, &random)
        let mean = try family.optimal([0.2, 0, 0.3, 0.5], rank: 2)
        let paper = try family.optimal([0.2, 0, 0.3, 0.5], rank: 2, .paper)
        #expect(paper.relativeError == mean.relativeError)
        for (one, three) in zip(mean.terms, paper.terms) {
            #expect(three.inputCoefficients == one.inputCoefficients)
            expectClose(three.gradientCoefficients, one.gradientCoefficients.map { 3 * $0 }, relative: 1e-14)
        }
    }

    @Test func `magnitudes of the factors do not matter`() throws {
        let inputs = try (0..<3).map { try randomFactor(4, seed: 20 + UInt64($0)).elements }
        let gradients = try (0..<3).map { try randomFactor(3, seed: 30 + UInt64($0)).elements }
        let family = try Family(inputs: inputs, gradients: gradients)
        let extreme = try Family(
            inputs: inputs.map { $0.map { $0 * 0x1p30 } }, gradients: gradients.map { $0.map { $0 * 0x1p-60 } })
        for rank in 1...3 {
            expectClose(
                try extreme.optimal([0.2, 0.3, 0.5], rank: rank).relativeError,
                try family.optimal([0.2, 0.3, 0.5], rank: rank).relativeError, relative: 1e-9)
        }
    }

    @Test func `a rank of none is refused`() throws {
        var random = SplitMix64(seed: 9)
        let family = try Family(taskCount: 2, &random)
        let error = #expect(throws: KroneckerFactorsError.self) { try family.optimal([0.5, 0.5], rank: 0) }
        #expect(error?.description == "0 Kronecker products; expected at least 1.")
    }
}
