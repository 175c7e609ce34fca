import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

@testable import JobPlan

@Suite struct JobFileReadingTests {
    /// A job file with all keys.
    private func fullSpec() throws -> JobSpec {
        try JobSpec(
            yaml: """
                merge_method: kfac
                base_model: models/base
                models:
                  - model: models/satellite
                    captures: captures/satellite/*.safetensors
                    parameters: {weight: 0.5}
                  - name: controls
                    captures: [captures/c1.safetensors, captures/c2.safetensors]
                    curvature_weight: 100
                  - model: models/other.safetensors
                    factors: factors/other
                parameters: {weight: 2, normalize: true, lambda: 0.25, int8_mask: true}
                dtype: float32
                out_dtype: bfloat16
                tokenizer_source: base
                kfac:
                  layers: ["blocks.*", head]
                  normalization: expand
                  damping: {rule: relative, value: 0.01}
                  regularizer: {form: per_task, scale: mean, targets: [satellite, controls]}
                  exact_probes: true
                  interference: false
                  input_digests: header
                  packed: true
                  missing_curvature: renormalize
                outputs: [factors, regularizer, inverses, merged, report]
                output: out/
                """,
            fileName: "job.yaml"
        )
    }

    @Test func `every key is read`() throws {
        let spec = try fullSpec()
        #expect(spec.method == .kfac)
        #expect(spec.baseModel == Located("models/base", at: "job.yaml:2:13"))
        #expect(spec.output == Located("out/", at: "job.yaml:27:9"))
        #expect(spec.fileName == "job.yaml")
        #expect(spec.outputType == .bf16)
        #expect(spec.outputs == Set(JobOutput.allCases))
        #expect(
            spec.parameters == ["weight": .scalar(2), "normalize": .scalar(1), "lambda": .scalar(0.25)]
        )

        #expect(spec.tasks.map(\.name) == ["satellite", "controls", "other"])
        #expect(spec.tasks.map(\.location) == ["job.yaml:4:5", "job.yaml:7:5", "job.yaml:10:5"])
        #expect(spec.tasks.map(\.model?.value) == ["models/satellite", nil, "models/other.safetensors"])
        #expect(
            spec.tasks.map { $0.captures.map(\.value) } == [
                ["captures/satellite/*.safetensors"], ["captures/c1.safetensors", "captures/c2.safetensors"], [],
            ]
        )
        #expect(spec.tasks[1].captures.map(\.location) == ["job.yaml:8:16", "job.yaml:8:41"])
        #expect(spec.tasks.map(\.factors.first?.value) == [nil, nil, "factors/other"])
        #expect(spec.tasks.map(\.curvatureWeight) == [nil, 100, nil])
        #expect(spec.tasks.map(\.parameters["weight"]) == [.scalar(0.5), nil, nil])
    }

    @Test func `every key under "kfac" is read`() throws {
        let curvature = try fullSpec().curvature
        #expect(curvature.layers?.map(\.value) == ["blocks.*", "head"])
        #expect(curvature.normalization == .expand)
        #expect(curvature.damping == DampingSpec(rule: .relative, value: 0.01))
        #expect(curvature.regularizer.form == .perTask)
        #expect(curvature.regularizer.scale == .mean)
        #expect(
            curvature.regularizer.targets
                == .named([
                    Located("satellite", at: "job.yaml:20:56"), Located("controls", at: "job.yaml:20:67"),
                ])
        )
        #expect(curvature.hasExactProbes)
        #expect(!curvature.measuresInterference)
        #expect(curvature.inputDigests == .header)
        #expect(curvature.missingCurvature == .renormalize)
        #expect(curvature.storesPackedTriangles)
    }

    @Test func `the optimal form has a rank, by default 1`() throws {
        func regularizer(_ text: String) throws -> RegularizerSpec {
            try JobFileText(rest: ["kfac: {regularizer: \(text)}"]).spec().curvature.regularizer
        }
        let second = try regularizer("{form: optimal, rank: 2}")
        #expect(second.form == .optimal)
        #expect(second.rank == Located(2, at: "job.yaml:6:43"))
        #expect(second.termCount == 2)
        #expect(try regularizer("{form: optimal}").termCount == 1)
        #expect(try regularizer("{form: accumulated}").termCount == 1)
        #expect(try regularizer("{form: per_task}").termCount == nil)
    }

    @Test func `what a mergekit file leaves out has mergekit's defaults and ours`() throws {
        let spec = try JobFileText().spec()
        #expect(spec.parameters == [:])
        #expect(!spec.method.averages)
        #expect(spec.outputType == nil)
        #expect(spec.outputs == [.merged, .report])
        #expect(spec.tasks.map(\.name) == ["a", "b"])
        #expect(spec.curvature == CurvatureSpec())
        #expect(spec.curvature.normalization == .tak)
        #expect(spec.curvature.damping == DampingSpec(rule: .relative, value: 0.1))
        #expect(spec.curvature.regularizer == RegularizerSpec())
        #expect(spec.curvature.regularizer.targets == .leaveOneOut)
        #expect(spec.curvature.measuresInterference)
        #expect(spec.curvature.inputDigests == nil)
        #expect(spec.curvature.missingCurvature == .refuse)
        #expect(spec.curvature.layers == nil)
    }

    @Test(arguments: [
        ("{value: 0.3}", DampingRule.relative, 0.3), ("{rule: relative}", .relative, 0.1), ("{rule: pi}", .pi, 0.01),
        ("{rule: pi, value: 0.3}", .pi, 0.3), ("{rule: absolute, value: 1e-3}", .absolute, 1e-3),
        ("{}", .relative, 0.1),
    ])
    func `what a damping leaves out has a default without a unit`(text: String, rule: DampingRule, value: Double) throws
    {
        let spec = try JobFileText(rest: ["kfac: {damping: \(text)}"]).spec()
        #expect(spec.curvature.damping == DampingSpec(rule: rule, value: value))
    }

    @Test func `linear is mergekit's and averages unless told otherwise`() throws {
        #expect(try JobFileText(method: "linear").spec().method == .linear)
        #expect(MergeMethod.linear.averages)
        let base = CheckpointInventory.of([("w", [1])])
        func averages(_ method: String, _ rest: [String]) throws -> Bool {
            MergeSettings(spec: try JobFileText(method: method, rest: rest).spec(), base: base).averages(tensor: "w")
        }
        #expect(try averages("linear", []))
        #expect(try !averages("linear", ["parameters: {normalize: false}"]))
        #expect(try averages("task_arithmetic", ["parameters: {normalize: true}"]))
    }

    @Test func `the base among the models is no task`() throws {
        let spec = try JobFileText(models: ["- model: models/base", "- model: models/a"]).spec()
        #expect(spec.tasks.map(\.name) == ["a"])
    }

    @Test func `the base among the models is a task when it has captures`() throws {
        let models = ["- {model: models/base, captures: c.safetensors}", "- model: models/a"]
        #expect(try JobFileText(models: models).spec().tasks.map(\.name) == ["base", "a"])
    }

    @Test(arguments: [
        ("models/satellite", "satellite"), ("models/satellite/", "satellite"), ("satellite.safetensors", "satellite"),
        ("/a/b.c/model.v2", "model.v2"),
    ])
    func `a task is named by the last component of its checkpoint's path`(path: String, name: String) throws {
        #expect(try JobFileText(models: ["- model: \(path)"]).spec().tasks.map(\.name.rawValue) == [name])
    }

    @Test func `a regularizer is written when it is described`() throws {
        let models = ["- {name: a, captures: a.safetensors}", "- {name: b, captures: b.safetensors}"]
        let described = try JobFileText(models: models, rest: ["kfac: {regularizer: {targets: all}}"]).spec()
        #expect(described.outputs == [.regularizer, .report])
        #expect(described.curvature.regularizer.targets == .all)
    }

    @Test func `factors are written when there is nothing else to write`() throws {
        let models = ["- {name: a, captures: a.safetensors}"]
        #expect(try JobFileText(models: models).spec().outputs == [.factors, .report])
    }

    @Test(arguments: [
        ("float64", ElementType.f64), ("torch.float16", .f16), ("float32", .f32), ("float16", .f16),
        ("bfloat16", .bf16),
    ])
    func `element types have mergekit's words`(word: String, type: ElementType) throws {
        #expect(try JobFileText(rest: ["dtype: \(word)"]).spec().outputType == type)
        #expect(try JobFileText(rest: ["dtype: float32", "out_dtype: \(word)"]).spec().outputType == type)
    }

    @Test func `anchors and aliases stand for their values`() throws {
        let models = [
            "- {model: models/a, parameters: &shared {weight: 0.5}}", "- {model: models/b, parameters: *shared}",
        ]
        #expect(
            try JobFileText(models: models).spec().tasks.map(\.parameters["weight"]) == [.scalar(0.5), .scalar(0.5)])
    }

    @Test func `equal texts give equal jobs`() throws {
        #expect(try JobFileText().spec() == JobFileText().spec())
    }
}
