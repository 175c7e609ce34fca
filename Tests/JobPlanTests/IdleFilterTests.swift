import Testing

@testable import JobPlan

/// Filtered values of a job that hold for no tensor.
@Suite struct IdleFilterTests {
    private let model = SmallModel()

    @Test func `filters that hold for no tensor are noticed`() throws {
        func notices(_ job: String, model other: String = "{}") throws -> [String] {
            let spec = try JobFileText(
                models: ["- model: a", "- {model: b, parameters: \(other)}"], rest: ["parameters: \(job)"]
            ).spec()
            return spec.allNotices(against: model.inventory(for: spec)).map(\.description)
        }
        #expect(try notices("{weight: [{filter: fc2, value: 1}, {value: 2}]}") == [])
        #expect(
            try notices("{weight: [{filter: fcc, value: 1}, {filter: self_atn, value: 1}, {value: 2}]}") == [
                "job.yaml: \"weight\" of the job: the filters \"fcc\", \"self_atn\" are in no tensor's name, so their "
                    + "values have no effect."
            ])
        #expect(
            try notices("{}", model: "{weight: [{filter: \"*.fc1.*\", value: 2}]}") == [
                "job.yaml:5:5: \"weight\" of task \"b\": the filter \"*.fc1.*\" is in no tensor's name, so its value has no "
                    + "effect. A filter is a part of the name, without \"*\"."
            ])
        #expect(
            try notices("{weight: [{filter: fc, value: 1}, {filter: fc1, value: 2}, {value: 3}]}") == [
                "job.yaml: \"weight\" of the job: earlier filters hold for all tensors of \"fc1\", so what stands there "
                    + "has no effect. Move it before them."
            ])
        #expect(
            try notices("{weight: [{value: 1}, {filter: fc1, value: 2}]}") == [
                "job.yaml: \"weight\" of the job: earlier filters hold for all tensors of \"fc1\", so what stands there "
                    + "has no effect. Move it before them."
            ])
    }

    @Test func `filters of slices are examined among the tensors of their slices`() throws {
        let layers = (0..<4).map { "model.layers.\($0).mlp.weight" }
        let base = CheckpointInventory.of((layers + ["lm_head.weight"]).map { ($0, [2, 2]) })
        func notices(_ first: String, _ second: String, job: String = "{}") throws -> [String] {
            let yaml = """
                merge_method: task_arithmetic
                base_model: models/base
                slices:
                - sources: [{model: a, layer_range: [0, 2], parameters: \(first)}]
                - sources: [{model: a, layer_range: [2, 4], parameters: \(second)}]
                parameters: \(job)
                output: out
                """
            return IdleFilters(try JobSpec(yaml: yaml, fileName: "job.yaml"), of: base).notices.map(\.description)
        }
        #expect(try notices("{weight: [{filter: layers.1, value: 1}]}", "{weight: 2}") == [])
        #expect(
            try notices("{weight: [{filter: layers.2, value: 1}]}", "{weight: [{filter: lm_head, value: 1}]}") == [
                "job.yaml:4:3: \"weight\" of task \"a\": the filter \"layers.2\" is in no tensor's name of the slice, so its "
                    + "value has no effect."
            ])
        #expect(
            try notices("{weight: 1}", "{weight: [{filter: mlp, value: 1}, {filter: layers.3, value: 2}]}") == [
                "job.yaml:5:3: \"weight\" of task \"a\": earlier filters hold for all tensors of \"layers.3\", so what stands "
                    + "there has no effect. Move it before them."
            ])
        // What the job says holds for all slices.
        #expect(try notices("{lambda: 1}", "{lambda: 2}", job: "{weight: [{filter: layers.3, value: 1}]}") == [])
        let misspelt = try notices("{}", "{weight: 2}", job: "{weight: [{filter: layer.3, value: 1}]}")
        #expect(
            misspelt == [
                "job.yaml: \"weight\" of the job: the filter \"layer.3\" is in no tensor's name, so its value has no effect."
            ])
    }

    @Test func `a filter of a slice needs a value`() {
        let yaml = """
            merge_method: task_arithmetic
            base_model: models/base
            slices:
            - sources: [{model: a, layer_range: [0, 2], parameters: {weight: [{filter: mlp}]}}]
            output: out
            """
        #expect(
            problems(in: yaml) == [
                "job.yaml:4:67: a filtered \"weight\" needs \"value\": a number, a list of numbers, or null for that of the "
                    + "next level."
            ])
    }
}
