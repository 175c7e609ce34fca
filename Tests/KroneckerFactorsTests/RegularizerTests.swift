import Identifiers
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

/// One target's factor by subtraction, streamed over ranges of five elements.
struct LeftOut: ~Copyable {
    let factor: PackedSymmetricMatrix<Float>
    let certificate: SubtractionCertificate
}

func leaveOneOut(
    _ tasks: [[Float]],
    _ target: Int,
    _ side: FactorSide,
    _ weights: RegularizerWeights
) throws -> LeftOut {
    var certificate = SubtractionCertificate(taskCount: tasks.count)
    var elements: [Float] = []
    for first in stride(from: 0, to: tasks[0].count, by: 5) {
        let ranges = tasks.map { Array($0[first..<min(first + 5, $0.count)]) }
        var totals = try RegularizerTotals(of: .full(6), firstElement: first, count: ranges[0].count)
        for (task, range) in ranges.enumerated() {
            try totals.add(range.span, times: weights.coefficient(ofTask: task, side: side))
        }
        let own = ranges[target]
        var result = [Float](repeating: 0, count: own.count)
        var destination = result.mutableSpan
        try totals.writeRemainder(
            without: own.span,
            times: weights.coefficient(ofTask: target, side: side),
            scale: weights.scale(of: side, excluding: target),
            into: &destination,
            certificate: &certificate
        )
        elements += result
    }
    let dimension = PackedTriangle.row(containing: tasks[0].count)
    return LeftOut(
        factor: try PackedSymmetricMatrix(dimension: dimension, elements: elements),
        certificate: certificate
    )
}

struct RegularizerTests {
    private func tasks(_ count: Int, dimension: Int) throws -> [[Float]] {
        try (0..<count).map { try randomFactor(dimension, seed: 40 + UInt64($0)).elements }
    }

    @Test(arguments: FactorSide.allCases) func `subtraction gives the direct sum`(side: FactorSide) throws {
        let tasks = try tasks(8, dimension: 6)
        let weights = try RegularizerWeights([100, 60_000, 250, 1000, 77, 3000, 12_000, 500], scale: .mean)
        for target in tasks.indices {
            let leftOut = try leaveOneOut(tasks, target, side, weights)
            #expect(leftOut.certificate.isValid)
            var direct = try RegularizerTotals(of: .full(6), firstElement: 0, count: 21)
            for task in tasks.indices where task != target {
                let own = tasks[task]
                try direct.add(own.span, times: weights.coefficient(ofTask: task, side: side))
            }
            var expected = [Float](repeating: 0, count: 21)
            var destination = expected.mutableSpan
            try direct.write(scale: weights.scale(of: side, excluding: target), into: &destination)
            expectClose(leftOut.factor.elements, expected, relative: 1.2e-7, absolute: 1e-9)
            let lambdas = try weights.lambdas(excluding: target)
            let truth = (0..<21).map { index in
                tasks.indices.reduce(0.0) { sum, task in
                    let weight = side == .gradient ? (task == target ? 0 : 1.0 / 7) : lambdas[task]
                    return sum + weight * Double(tasks[task][index])
                }
            }
            expectClose(expected, truth, relative: 1.2e-7, absolute: 1e-9)
        }
    }

    @Test func `a task that dwarfs the others fails the certificate`() throws {
        var tasks = try tasks(3, dimension: 4)
        tasks[2] = tasks[2].map { $0 * 0x1p40 }
        let weights = try RegularizerWeights([1, 1, 1])
        #expect(try !leaveOneOut(tasks, 2, .gradient, weights).certificate.isValid)
        #expect(try leaveOneOut(tasks, 0, .gradient, weights).certificate.isValid)
    }

    @Test func `a negative diagonal fails the certificate, and an undefined one is an error`() throws {
        let weights = try RegularizerWeights([1, 1])
        #expect(try !leaveOneOut([[1, 0, -1], [1, 0, 1]], 1, .input, weights).certificate.isValid)
        #expect(throws: KroneckerFactorsError.exceedsStorage(row: 1)) {
            _ = try leaveOneOut([[1, 0, .nan], [1, 0, 1]], 1, .input, weights)
        }
    }

    @Test func `all tasks are summed when none is left out`() throws {
        let weights = try RegularizerWeights([1, 3])
        #expect(try weights.lambdas(excluding: nil) == [0.25, 0.75])
        #expect(try weights.scale(of: .input, excluding: nil) == 0.25)
        #expect(try weights.scale(of: .gradient, excluding: nil) == 1)
        #expect(try RegularizerWeights([1, 3], scale: .mean).scale(of: .gradient, excluding: nil) == 0.5)
    }

    /// DESIGN 2.2: min_c ‖Σ λ_t B_t⊗A_t − c·B⊗A‖_F / ‖Σ λ_t B_t⊗A_t‖_F, here with the Kronecker products written out.
    @Test func `the error of eq 8 is that of the Kronecker products`() throws {
        let inputs = try tasks(3, dimension: 3)
        let gradients = try (0..<3).map { try randomFactor(2, seed: 60 + UInt64($0)).elements }
        var inputProducts = FactorInnerProducts(taskCount: 3)
        var gradientProducts = FactorInnerProducts(taskCount: 3)
        for first in 0..<3 {
            for second in first..<3 {
                var (left, right) = (inputs[first], inputs[second])
                try inputProducts.add(left.span, right.span, tasks: first, second, firstElement: 0, of: .full(3))
                (left, right) = (gradients[first], gradients[second])
                try gradientProducts.add(
                    left.span, right.span, tasks: first, second, firstElement: 0, of: .full(2))
            }
        }
        let weights = try RegularizerWeights([100, 200, 700])
        for target in [nil, 0, 2] {
            let lambdas = try weights.lambdas(excluding: target)
            var exact = [Double](repeating: 0, count: 36)
            var sumA = [Double](repeating: 0, count: 9)
            var sumB = [Double](repeating: 0, count: 4)
            for task in 0..<3 where lambdas[task] > 0 {
                let a = square(try PackedSymmetricMatrix<Float>(dimension: 3, elements: inputs[task]))
                let b = square(try PackedSymmetricMatrix<Float>(dimension: 2, elements: gradients[task]))
                for (index, value) in kroneckerProduct(b, a).enumerated() { exact[index] += lambdas[task] * value }
                for index in a.indices { sumA[index] += lambdas[task] * a[index] }
                for index in b.indices { sumB[index] += b[index] }
            }
            let accumulated = kroneckerProduct(sumB, sumA)
            func dot(_ left: [Double], _ right: [Double]) -> Double { zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } }
            let scale = dot(exact, accumulated) / dot(accumulated, accumulated)
            let rest = zip(exact, accumulated).map { $0 - scale * $1 }
            let expected = (dot(rest, rest) / dot(exact, exact)).squareRoot()
            let found = AccumulationError.relative(
                gradients: gradientProducts,
                inputs: inputProducts,
                lambdas: lambdas
            )
            expectClose(found, expected, relative: 1e-9)
        }
        let one = AccumulationError.relative(gradients: gradientProducts, inputs: inputProducts, lambdas: [0, 1, 0])
        expectClose(one, 0, absolute: 1e-7)
    }
}
