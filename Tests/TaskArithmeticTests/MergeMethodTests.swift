import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// The registry of merge methods, and its methods against documented values.
struct MergeMethodTests {
    @Test func `names and aliases are unique, and each finds its method`() {
        let names = MergeMethod.all.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
        for method in MergeMethod.all {
            for name in [method.name] + method.aliases { #expect(MergeMethod(named: name) == method) }
        }
        #expect(MergeMethod(named: "Linear") == nil)
        #expect(MergeMethod(named: "") == nil)
        #expect(
            MergeMethod.all.map(\.name) == [
                "task_arithmetic", "linear", "weighted_average", "ties", "dare_linear", "dare_ties", "passthrough",
                "slerp", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties", "model_stock", "nuslerp",
                "karcher", "multislerp", "nearswap", "sce", "arcee_fusion", "ram", "ramplus_tl", "kfac", "regmean",
                "actmat",
                "tact", "wudi", "ace", "tsv_m", "iso_c", "iso_cts", "fisher", "kfac_exact", "disentangle",
            ])
    }

    @Test(arguments: MergeMethod.all.map(\.name))
    func `a method says what it is and where it was published`(name: String) throws {
        let method = try #require(MergeMethod(named: name))
        #expect(name.wholeMatch(of: /[a-z][a-z0-9_]*/) != nil)
        #expect(!method.formula.isEmpty)
        #expect(method.summary.hasSuffix("."))
        #expect(!method.paper.citation.isEmpty)
        #expect(method.paper.arXiv?.wholeMatch(of: /\d{4}\.\d{5}/) != nil)
        if let statistics = method.statistics { #expect(statistics.rounds > 0) }
        // Without a base, α has no vector to scale.
        if method.terms == .models { #expect(method.parameter("lambda") == nil) }
    }

    @Test(arguments: MergeMethod.all.map(\.name))
    func `each parameter of a method stands once, with a default of its kind and range`(name: String) throws {
        let parameters = try #require(MergeMethod(named: name)).parameters
        #expect(Set(parameters.map(\.name)).count == parameters.count)
        for parameter in parameters {
            #expect(!parameter.meaning.isEmpty)
            #expect(!MergeParameter.acceptedWithoutEffect.contains(parameter.name))
            guard case .value(let value) = parameter.defaultValue else { continue }
            switch (parameter.kind, value) {
            case (.number(let range), .number(let number)): #expect(range.contains(number))
            case (.count(let range), .count(let count)): #expect(range.contains(count))
            case (.word(let words), .word(let word)): #expect(words.contains(word))
            case (.truth, .truth): break
            default: Issue.record("\(parameter.name) has the default \(value) of another kind")
            }
        }
    }

    /// A key has the same meaning in all methods.
    @Test func `methods that share a parameter's name share its kind and level`() {
        for (_, same) in Dictionary(grouping: MergeMethod.all.flatMap(\.parameters), by: \.name) {
            #expect(same.allSatisfy { $0.kind == same[0].kind && $0.level == same[0].level })
        }
    }

    @Test func `what the methods need is what their formulas say`() {
        func names(_ isTrue: (MergeMethod) -> Bool) -> [String] { MergeMethod.all.filter(isTrue).map(\.name) }
        #expect(names(\.needsFactors) == ["kfac", "regmean", "fisher", "kfac_exact", "disentangle"])
        #expect(names { !$0.needsBase } == ["linear", "passthrough", "nuslerp", "karcher", "multislerp"])
        #expect(names(\.averages) == ["linear", "weighted_average", "ties", "della"])
        let own = [
            "linear", "passthrough", "slerp", "model_stock", "nuslerp", "karcher", "multislerp", "nearswap", "sce",
            "arcee_fusion", "ram", "ramplus_tl",
        ]
        #expect(names { $0.parameter("lambda") == nil } == own)
        #expect(names(\.isRandom) == ["dare_linear", "dare_ties", "della", "della_linear"])
    }

    // MARK: - Values

    private func merged(
        _ method: MergeMethod, _ models: [(values: [Float], weight: Double)], divides: Bool
    ) throws -> [Float] {
        func merge<Computation: ElementwiseComputation & ~Copyable>(_ computation: Computation.Type) throws -> [Float] {
            var merge = try Computation(capacity: 4, precision: .single, statistics: [])
            let base = [Float](repeating: 0, count: 4)
            switch method.terms {
            case .taskVectors: try merge.begin(base: base.span.bytes, type: .f32)
            case .models: try merge.begin(elements: 4)
            }
            for model in models {
                try merge.add(
                    model.values.span.bytes, type: .f32, of: MergedModel(weight: model.weight))
            }
            var result = [Float](repeating: .nan, count: 4)
            do {
                var span = result.mutableSpan
                var bytes = span.mutableBytes
                try merge.finish(
                    divides: divides, alpha: 1, arguments: MergeArguments(), into: &bytes, type: .f32)
            }
            return result
        }
        return try merge(method.scope.elementwise)
    }

    /// The values are from mergekit's own functions, run once on a = [3, −1, .5, −2] and b = [.5, 2, −.5, −4] over a
    /// base of zeros.
    @Test(arguments: ["task_arithmetic", "linear", "weighted_average", "kfac"])
    func `sums and averages have mergekit's values`(name: String) throws {
        let method = try #require(MergeMethod(named: name))
        let (a, b): ([Float], [Float]) = ([3, -1, 0.5, -2], [0.5, 2, -0.5, -4])
        #expect(try merged(method, [(a, 0.5), (b, 2)], divides: false) == [2.5, 3.5, -0.75, -9])
        let mean = try merged(method, [(a, 0.5), (b, 2)], divides: true).map(Double.init)
        expectClose(mean, [1, 1.4, -0.3, -3.6], relative: 1e-6)
        #expect(try merged(method, [(a, 1), (b, -1)], divides: false) == [2.5, -3, 1, 2])
    }

    @Test func `passthrough copies a model, times its scale`() throws {
        let model: [Float] = [3, -1, 0.5, -2]
        for (scale, expected) in [(1, model), (-0.5, [-1.5, 0.5, -0.25, 1]), (0, [0, 0, 0, 0])] as [(Double, [Float])] {
            var merge = try ScaledModel(capacity: 4, precision: .single, statistics: [])
            try merge.begin(elements: 4)
            let described = MergedModel(arguments: MergeArguments(["scale": .number(scale)]))
            try merge.add(model.span.bytes, type: .f32, of: described)
            var result = [Float](repeating: .nan, count: 4)
            do {
                var span = result.mutableSpan
                var bytes = span.mutableBytes
                try merge.finish(divides: false, alpha: 1, arguments: MergeArguments(), into: &bytes, type: .f32)
            }
            #expect(result == expected)
        }
    }

    @Test func `a scope says which tensors are merged as a whole`() {
        let shapes = [[], [3], [3, 4], [3, 4, 5]]
        func whole(_ scope: MergeScope) -> [Bool] { shapes.map(scope.mergesWhole) }
        #expect(whole(.tensors(KfacMerge.self)) == [true, true, true, true])
        #expect(whole(.matrices(KfacMerge.self, others: WeightedSum.self)) == [false, false, true, false])
        #expect(whole(.blocks(KfacMerge.self, others: WeightedSum.self)) == [false, false, false, false])
        #expect(whole(.elements(WeightedSum.self)) == [false, false, false, false])
        #expect(MergeScope.elements(WeightedSum.self).streamed(for: .matrix(rows: 1, columns: 3)) == nil)
    }

    // MARK: - Parameters

    @Test(arguments: [
        (NumberRange.any, "a number", [-1e30, 0, 7], [Double.nan, .infinity, 1.1e30, -1e300]),
        (.from(0), "a number at least 0", [0, 1], [-1e-9]),
        (.from(0, to: 1), "a number at least 0 and at most 1", [0, 0.5, 1], [-0.1, 1.1, .nan]),
        (.above(0, to: 1), "a number above 0 and at most 1", [1e-300, 1], [0, 2]),
        (.above(0.5), "a number above 0.5", [0.6], [0.5]),
        (.between(0, 1), "a number above 0 and below 1", [0.5], [0, 1]),
    ])
    func `a range says what it takes`(range: NumberRange, words: String, inside: [Double], outside: [Double]) {
        #expect(range.description == words)
        #expect(inside.allSatisfy(range.contains))
        #expect(!outside.contains(where: range.contains))
    }

    @Test func `a computation reads a parameter by its constant, or its default`() throws {
        let density = MergeParameter(
            "density", .number(.from(0, to: 1)), default: .value(.number(1)), level: .jobAndModel, variesByTensor: true,
            meaning: "kept fraction")
        let place = MergeParameter(
            "t", .number(.any), default: .required, level: .job, variesByTensor: true, meaning: "place")
        let arguments = MergeArguments(["density": .number(0.25), "steps": .count(3), "solver": .word("adam")])
        #expect(try arguments.number(density) == 0.25)
        #expect(try MergeArguments().number(density) == 1)
        let error = #expect(throws: TaskArithmeticError.self) { _ = try arguments.number(place) }
        #expect(error?.description == "the parameter \"t\" is missing; expected a number.")
        #expect(throws: TaskArithmeticError.self) { _ = try arguments.truth(density) }
        #expect(
            [.number(2), .number(0.5), .truth(true), .count(3), .word("adam")].map(\MergeValue.description)
                == ["2", "0.5", "true", "3", "adam"])
    }

    // MARK: - kfac

    @Test func `a block with operands that its method does not take is refused in a sentence`() throws {
        func message(_ body: () throws -> Void) -> String? {
            #expect(throws: TaskArithmeticError.self, performing: body)?.description
        }
        let damping = try Damping(.relative, 0.1)
        #expect(
            message {
                _ = try KfacMerge(MergeProblem(shape: .matrix(rows: 2, columns: 2), models: [], damping: damping))
            }
                == "a merge got a matrix without factors, which its method does not take.")
        let layer = MergeProblem(
            shape: .layer(outputs: .full(1), inputs: .full(1)), models: [MergedModel()], damping: damping)
        #expect(
            message {
                var merge = try KfacMerge(layer)
                try merge.addFactors(.none, of: MergedModel())
            } == "a merge got a layer without factors, which its method does not take.")
        let parameter = MergeProblem(shape: .parameter(count: 1), models: [MergedModel()], damping: damping)
        #expect(
            message {
                var merge = try KfacMerge(parameter)
                try merge.add(Matrix(rows: 1, columns: 1), factors: .none, of: MergedModel())
            } == "a merge got a block without factors, which its method does not take.")
    }
}
