import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Gradients that cancel in each sample, as those of a key projection behind softmax do.
    @Suite struct CancelledGradientTests {
        private let model: StoredModel

        init() throws {
            model = try StoredModel(
                ["k", "v"].map {
                    StoredLayerExample(name: $0, inputs: 3, outputs: 2, tensors: ["\($0).weight"]) { _, row in row }
                }, tensors: [("k.weight", [2, 3]), ("v.weight", [2, 3])])
            model.job.outputs = ["factors", "report"]
            for task in StoredModel.tasks {
                let place = try #require(model.captures[task]?.tensors.firstIndex { $0.name == "k.output_grad" })
                guard var values = model.captures[task]?.tensors[place].values.map({ Float($0) }) else { continue }
                // Every second row takes back the one before it, up to rounding.
                for row in stride(from: 1, to: StoredModel.samples, by: 2) {
                    for column in 0..<2 {
                        values[row * 2 + column] = -values[row * 2 + column - 2] * (1 + .ulpOfOne)
                    }
                }
                model.captures[task]?.tensors[place] = Tensor("k.output_grad", [StoredModel.samples, 2], values)
            }
        }

        /// The samples of the rows: 6 samples of 2, 6, 2, 6, 2 and 6 rows.
        private static var sampleNumbers: [Int32] {
            var numbers: [Int32] = []
            for pair in 0..<Int32(3) {
                numbers += [Int32](repeating: 2 * pair, count: 2)
                numbers += [Int32](repeating: 2 * pair + 1, count: 6)
            }
            return numbers
        }

        private func warnings(_ normalization: String) async throws -> [String] {
            model.job.curvature = ["normalization: \(normalization)"]
            model.job.output = normalization
            return try #require(try await report()["warnings"] as? [String])
        }

        private func report() async throws -> [String: Any] {
            try model.write()
            try await Client.runJob(model.directory.appending("job.yaml"), in: model.directory, options: ["--quiet"])
            let path = model.directory.appending("\(model.job.output)/report.json")
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        private func expectNamed(_ warnings: [String]) {
            #expect(warnings.count == 1, "\(warnings)")
            let expected =
                #/the output gradients of a sample cancel each other in 2 layers: "k" of task "alpha" \((.+?)\), "k" of task "beta" \((.+?)\)\. .+/#
            let found = warnings.first?.wholeMatch(of: expected)
            let shares = [found?.output.1, found?.output.2].compactMap { $0.flatMap { Double($0) } }
            #expect(shares.count == 2 && shares.allSatisfy { $0 > 0 && $0 < 1e-13 }, "\(warnings)")
        }

        @Test func `a warning names the layers whose sums are rounding, only under reduce`() async throws {
            for task in StoredModel.tasks {
                model.captures[task]?.metadata["samples"] = "\(StoredModel.samples / 2)"
            }
            expectNamed(try await warnings("reduce"))
            #expect(try await warnings("tak") == [])
            #expect(try await warnings("expand") == [])
        }

        @Test func `a warning names them also if samples have different numbers of rows`() async throws {
            let numbers = Self.sampleNumbers
            for task in StoredModel.tasks {
                model.captures[task]?.metadata["samples"] = "6"
                for layer in ["k", "v"] {
                    model.captures[task]?.tensors.append(
                        Tensor(
                            "\(layer).row_samples", .int32, [numbers.count],
                            bytes: numbers.withUnsafeBytes { Data($0) }))
                }
            }
            expectNamed(try await warnings("reduce"))
        }

        @Test func `layers with the same rows of which one does not state its samples are refused under reduce`()
            async throws
        {
            let numbers = Self.sampleNumbers
            for task in StoredModel.tasks {
                let input = try #require(model.captures[task]).tensor("k.input")
                let place = try #require(model.captures[task]?.tensors.firstIndex { $0.name == "v.input" })
                model.captures[task]?.metadata["samples"] = "6"
                model.captures[task]?.tensors[place] = input.renamed("v.input")
                model.captures[task]?.tensors.append(
                    Tensor("k.row_samples", .int32, [numbers.count], bytes: numbers.withUnsafeBytes { Data($0) }))
            }
            model.job.curvature = ["normalization: reduce"]
            try model.write()
            let result = try await Client.run(
                ["run", model.directory.appending("job.yaml"), "--workers", "1"], in: model.directory)
            #expect(result.exitCode == 2)
            #expect(
                result.errors.contains(
                    "the layers \"v\" and \"k\" of task \"alpha\" have the same input rows, but only \"k\" has "
                        + "\"row_samples\"; \"reduce\" would take the other one's samples to be of equal length. Capture "
                        + "\"v.row_samples\" too."), "\(result.errors)")
        }
    }
}
