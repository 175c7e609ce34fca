import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Four fine-tuned vision transformers, merged by ties over the whole model.
    ///
    /// `Fixtures/trimmed/expected.safetensors` has the task vector of an independent program, made in fp64 and rounded
    /// to fp32: it keeps 20 % of each whole vector, takes the sign of the sum, and averages what agrees.
    @Suite struct TrimmedModelTests {
        @Test func `ties over the whole model is that of the reference`() async throws {
            let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Fixtures/trimmed").path
            let directory = try TemporaryDirectory()
            let models = ["fashion", "hdigits", "hebrew", "numerals"].map { "- model: \(fixture)/\($0).safetensors" }
            let text = """
                merge_method: ties
                base_model: \(fixture)/base.safetensors
                models:
                \(models.joined(separator: "\n"))
                parameters: {scope: model, density: 0.2}
                dtype: float64
                output: out

                """
            let job = directory.appending("job.yaml")
            try Data(text.utf8).write(to: URL(fileURLWithPath: job))
            try await Client.runJob(job, workers: 2, in: directory, options: ["--quiet"])
            let base = try TensorFile(reading: "\(fixture)/base.safetensors")
            let merged = try TensorFile(reading: directory.appending("out/merged/model.safetensors"))
            for expected in try TensorFile(reading: "\(fixture)/expected.safetensors").tensors {
                let (start, end) = (try base.tensor(expected.name).values, try merged.tensor(expected.name).values)
                let vector = zip(start, end).map { $1 - $0 }
                #expect(vector.map { $0 == 0 } == expected.values.map { $0 == 0 }, "\(expected.name)")
                // fp32 rounds the reference.
                expectClose(vector, expected.values, relative: 1e-7)
            }
        }
    }
}
