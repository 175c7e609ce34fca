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
}
