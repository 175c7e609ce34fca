import KroneckerFactors
import RandomNumbers
import TaskArithmetic
import TestSupport
import Testing

/// The methods that thin out task vectors and elect signs.
///
/// Unless a test says otherwise, expected values are from mergekit's own functions, run once in fp64.
struct TaskVectorMergeTests {
    private let a = [3, -1, 0.5, -2]
    private let b = [0.5, 2, -0.5, -4]

    /// The methods of the engine.
    private static let methods: [MergeMethod] = [
        .ties, .dareLinear, .dareTies, .della, .dellaLinear, .breadcrumbs, .breadcrumbsTies,
    ]
    private static let names = methods.map(\.name)

    private func merge(_ method: MergeMethod, density: Double = 1) -> VectorMerge {
        var merge = VectorMerge(method)
        merge.modelArguments = [["density": .number(density)]]
        return merge
    }

    // MARK: - ties

    @Test func `ties trims, elects and averages`() throws {
        var merge = merge(.ties, density: 0.5)
        #expect(try merge.run([a, b]) == [3, 2, 0, -3])
        merge.weights = [1, 0.5]
        expectClose(try merge.run([a, b]), [3, 2, 0, -8.0 / 3], relative: 1e-15)
        merge.divides = false
        #expect(try merge.run([a, b]) == [3, 1, 0, -4])
        #expect(try self.merge(.ties).run([a, b]) == [1.75, 2, 0.5, -3])
    }

    @Test func `signs are elected by the sum or by the majority, and a tie is positive`() throws {
        var merge = merge(.ties)
        #expect(try merge.run([[3], [-1], [-1]]) == [3])
        #expect(try merge.run([[1], [-1]]) == [1])
        merge.arguments = ["consensus": .word("count")]
        #expect(try merge.run([[3], [-1], [-1]]) == [-1])
        #expect(try merge.run([[1], [-3]]) == [1])
    }

    @Test func `ties rescales to the norm of the whole vector if it is asked to`() throws {
        var merge = merge(.ties, density: 0.5)
        merge.arguments = ["rescale": .truth(true)]
        // By hand: 6.5 / 5.
        expectClose(try merge.run([a]), [3.9, 0, 0, -2.6], relative: 1e-15)
    }

    // MARK: - What is kept

    @Test(arguments: [(0.29, 100, 28), (0.57, 100, 56), (0.5, 1, 1), (0.001, 10, 1), (1, 7, 7)])
    func `the number of kept elements is truncated in binary, and at least one`(
        density: Double, count: Int, kept: Int
    ) throws {
        let values = (1...count).map(Double.init)
        #expect(try merge(.ties, density: density).run([values]).count { $0 != 0 } == kept)
        #expect(try merge(.breadcrumbs, density: density).run([values]).count { $0 != 0 } == kept)
    }

    @Test func `among equal magnitudes the lowest index is kept`() throws {
        #expect(try merge(.ties, density: 0.5).run([[1, -1, -1, 1]]) == [1, -1, 0, 0])
        #expect(try merge(.ties, density: 0.5).run([[-0.5, 1, 0.5, 0]]) == [-0.5, 1, 0, 0])
        var merge = merge(.breadcrumbs)
        merge.modelArguments = [["density": .number(0.5), "gamma": .number(0.25)]]
        #expect(try merge.run([[1, -1, 1, -1]]) == [0, -1, 1, 0])
    }

    /// Against a full sort.
    @Test(arguments: [1, 7, 100, 499, 1000])
    func `the largest are those of a sort, over values of all sizes`(kept: Int) throws {
        var random = SplitMix64(seed: UInt64(kept))
        let values = (0..<1000).map { _ -> Double in
            let exponent = Double(Int(random.next() % 200)) - 100
            let digits = Double(random.next() % 5 == 0 ? 1 : random.next() % 1000)
            return (random.next() % 2 == 0 ? -1 : 1) * digits * (exponent / 10).binaryPower
        }
        let order = values.indices.sorted {
            (values[$1].magnitude, $0) < (values[$0].magnitude, $1)
        }
        let expected = Set(order.prefix(kept).filter { values[$0] != 0 })
        // One more half element, so that the product truncates to the number.
        let merged = try merge(.ties, density: (Double(kept) + 0.5) / 1000).run([values])
        #expect(Set(merged.indices.filter { merged[$0] != 0 }) == expected)
    }

    @Test(arguments: [
        (0.5, 0.2, 4...8), (0.5, 0.9, 1...5), (0.95, 0.2, 1...9), (0.5, 0.01, 6...10),
    ])
    func `breadcrumbs keeps the middle, and all below where nothing is an outlier`(
        density: Double, gamma: Double, kept: ClosedRange<Int>
    ) throws {
        // mergekit keeps nothing in the last case, because its slice ends at −0.
        var merge = merge(.breadcrumbs)
        merge.modelArguments = [["density": .number(density), "gamma": .number(gamma)]]
        let values = (1...10).map { Double($0 % 2 == 0 ? $0 : -$0) }
        #expect(try merge.run([values]) == values.map { kept.contains(Int($0.magnitude)) ? $0 : 0 })
    }

    @Test func `breadcrumbs_ties adds up what agrees, and does not divide`() throws {
        var merge = merge(.breadcrumbsTies)
        merge.modelArguments = [["density": .number(0.5), "gamma": .number(0.25)]]
        // By hand: −2 and −1 of a are kept, 2 and the first 0.5 of b.
        #expect(try merge.run([a, b]) == [0.5, 2, 0, -2])
    }

    // MARK: - At random

    /// The stream of the first seed under which a rule holds.
    private func stream(_ rule: (RandomStream) throws -> Bool) throws -> RandomStream {
        let streams = (UInt64(0)..<10_000).lazy.map { RandomStream(seed: $0, task: "a", tensor: "w") }
        return try #require(try streams.first(where: rule))
    }

    private func isKept(_ stream: RandomStream, _ probabilities: [Double]) throws -> [Bool] {
        try probabilities.enumerated().map { try stream.isKept($0, probability: $1) }
    }

    @Test func `dare keeps the norm as mergekit, or divides by the density as the paper`() throws {
        let stream = try stream { try isKept($0, [0.5, 0.5, 0.5, 0.5]) == [true, false, true, true] }
        var merge = merge(.dareLinear, density: 0.5)
        merge.streams = [stream]
        expectClose(try merge.run([a]), [3.545454545455, 0, 0.590909090909, -2.363636363636], relative: 1e-12)
        merge.arguments = ["rescale_by": .word("probability")]
        #expect(try merge.run([a]) == [6, 0, 1, -4])
        merge.arguments = ["rescale": .truth(false)]
        #expect(try merge.run([a]) == [3, 0, 0.5, -2])
    }

    /// The mean of n draws of x/p with probability p differs from x by a few |x| √((1−p)/(p n)).
    @Test func `the paper's form of dare is unbiased`() throws {
        var merge = merge(.dareLinear, density: 0.25)
        merge.arguments = ["rescale_by": .word("probability")]
        let values = [Double](repeating: 1, count: 100_000)
        let mean = try merge.run([values]).reduce(0, +) / 100_000
        #expect(abs(mean - 1) < 5 * (3.0 / 100_000).squareRoot())
    }

    @Test func `dare_ties elects from the rescaled vectors`() throws {
        let stream = try stream { try isKept($0, [0.5, 0.5, 0.5, 0.5]) == [true, false, true, true] }
        var merge = merge(.dareTies, density: 0.5)
        merge.streams = [stream, stream]
        merge.arguments = ["rescale_by": .word("probability")]
        // By hand: [6, 0, 1, −4] and [1, 0, −1, −8]; a tie is positive.
        #expect(try merge.run([a, b]) == [7, 0, 1, -12])
        merge.divides = true
        #expect(try merge.run([a, b]) == [3.5, 0, 1, -6])
    }

    @Test func `della keeps an element with a probability by its rank in its row`() throws {
        // From mergekit.
        let probabilities = [0.65, 0.45, 0.35, 0.55]
        var merge = merge(.dellaLinear)
        merge.modelArguments = [["density": .number(0.5), "epsilon": .number(0.15)]]
        merge.rows = 2
        for seed in UInt64(0)..<200 {
            let stream = RandomStream(seed: seed, task: "a", tensor: "w")
            merge.streams = [stream]
            merge.arguments = ["rescale": .truth(false)]
            let kept = try isKept(stream, probabilities + probabilities)
            #expect(try merge.run([a + a]) == zip(a + a, kept).map { $1 ? $0 : 0 })
            merge.arguments = ["rescale_by": .word("probability")]
            let divided = zip(zip(a + a, kept), probabilities + probabilities).map { $0.1 ? $0.0 / $1 : 0 }
            expectClose(try merge.run([a + a]), divided, relative: 1e-14)
        }
    }

    @Test func `a row of one element is kept with the density`() throws {
        var merge = merge(.della, density: 0.5)
        merge.rows = 4
        let stream = RandomStream(seed: 3, task: "a", tensor: "w")
        merge.streams = [stream]
        merge.arguments = ["rescale": .truth(false)]
        let kept = try isKept(stream, [0.5, 0.5, 0.5, 0.5])
        #expect(try merge.run([a]) == zip(a, kept).map { $1 ? $0 : 0 })
    }

    @Test(arguments: ["dare_linear", "dare_ties", "della", "della_linear"])
    func `density 1 draws nothing, and less needs random numbers`(name: String) throws {
        var merge = merge(try #require(MergeMethod(named: name)))
        merge.streams = [nil]
        #expect(try merge.run([a]) == a)
        merge.modelArguments = [["density": .number(0.5)]]
        let error = #expect(throws: TaskArithmeticError.self) { try merge.run([a]) }
        #expect(
            error?.description == "a merge got a model without random numbers, which its method does not take.")
    }

    // MARK: - Laws of all methods

    @Test(arguments: names)
    func `models that equal the base change nothing`(name: String) throws {
        let zeros = [0.0, 0, 0, 0]
        #expect(try merge(try #require(MergeMethod(named: name)), density: 0.5).run([zeros, zeros]) == zeros)
    }

    @Test(arguments: names)
    func `three equal models give their vector where weights divide, else three times it`(name: String) throws {
        var merge = merge(try #require(MergeMethod(named: name)))
        for (divides, factor) in [(true, 1.0), (false, 3)] {
            merge.divides = divides
            #expect(try merge.run([a, a, a]) == a.map { factor * $0 })
        }
    }

    @Test(arguments: names)
    func `scaled vectors give the scaled result`(name: String) throws {
        var merge = merge(try #require(MergeMethod(named: name)), density: 0.6)
        merge.weights = [0.75, 1.5]
        let values = try merge.run([a, b])
        for scale in [0x1p-30, 4] {
            #expect(try merge.run([a, b].map { $0.map { scale * $0 } }) == values.map { scale * $0 })
        }
    }

    @Test func `a block with factors is refused`() throws {
        let problem = MergeProblem(
            shape: .parameter(count: 3), models: [MergedModel()], damping: try Damping(.relative, 0.1))
        let error = #expect(throws: TaskArithmeticError.self) { _ = try TaskVectorMerge<TiesRule>(problem) }
        #expect(error?.description == "a merge got a block with factors, which its method does not take.")
    }

    // MARK: - The whole model

    /// Merges parts of a model, after the rounds of statistics over all.
    private func mergeParts(_ merge: VectorMerge, _ parts: [[[Double]]]) throws -> [[Double]] {
        var merge = merge
        merge.arguments["scope"] = .word("model")
        let statistics = try #require(merge.method.statistics(for: MergeArguments(merge.arguments)))
        for round in 0..<statistics.rounds {
            merge.statistics.append(try statistics.combined(try parts.map { try merge.measure($0) }, round: round))
        }
        return try parts.map { try merge.run($0) }
    }

    /// Against a sort of all elements; equal magnitudes of the k-th are all kept.
    @Test(arguments: [0.001, 0.2, 0.5, 0.99])
    func `with the whole model in scope, the largest of all tensors are kept`(density: Double) throws {
        var random = SplitMix64(seed: 5)
        let parts = [30, 1, 400].map { count in
            (0..<2).map { _ in (0..<count).map { _ in Double(Int(random.next() % 4000)) / 1024 - 2 } }
        }
        let least = (0..<2).map { model in
            let all = parts.flatMap { $0[model] }.map(\.magnitude).sorted(by: >)
            return all[max(1, Int(density * Double(all.count))) - 1]
        }
        let trimmed = parts.map { part in
            (0..<2).map { model in part[model].map { $0.magnitude >= least[model] ? $0 : 0 } }
        }
        #expect(try mergeParts(merge(.ties, density: density), parts) == trimmed.map { try merge(.ties).run($0) })
    }

    @Test func `statistics are planned only with the whole model in scope`() {
        #expect(MergeMethod.ties.statistics(for: MergeArguments()) == nil)
        #expect(MergeMethod.ties.statistics(for: MergeArguments(["scope": .word("tensor")])) == nil)
        #expect(MergeMethod.ties.statistics(for: MergeArguments(["scope": .word("model")])) != nil)
    }

    @Test func `statistics without a model are refused`() throws {
        var merge = merge(.ties, density: 0.5)
        merge.statistics = [[1], [1], [1], [1]]
        let error = #expect(throws: TaskArithmeticError.self) { try merge.run([a]) }
        #expect(
            error?.description
                == "a merge got statistics without the model at place 1, which its method does not take.")
        merge.statistics = [[1]]
        let other = #expect(throws: TaskArithmeticError.self) { try merge.run([a]) }
        #expect(other?.description == "a merge got 1 rounds of statistics, which its method does not take.")
    }
}

extension Double {
    /// 2 to the power of the number's integral part.
    fileprivate var binaryPower: Double { Double(sign: .plus, exponent: Int(self), significand: 1) }
}
