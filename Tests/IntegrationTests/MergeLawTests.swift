import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Laws of merge methods over whole runs.
    @Suite struct MergeLawTests {
        private let directory: TemporaryDirectory

        private static let methods = [
            "ties", "dare_linear", "dare_ties", "della", "della_linear",
            "breadcrumbs", "breadcrumbs_ties", "slerp", "model_stock", "nearswap", "sce",
            "arcee_fusion", "ram", "ramplus_tl",
        ]
        private static let random = ["dare_linear", "dare_ties", "della", "della_linear"]

        init() throws { directory = try TemporaryDirectory() }

        /// A matrix, a bias and a number, with a zero of either sign.
        private func tensors(seed: UInt64) -> [Tensor] {
            var random = SplitMix64(seed: seed)
            func values(_ count: Int) -> [Float] { random.values(count).map { Float($0) } }
            return [
                Tensor("fc.weight", [6, 8], [0, -0.0] + values(46)), Tensor("fc.bias", [6], [-0.0] + values(5)),
                Tensor("scale", [], values(1)),
            ]
        }

        private func write(_ tensors: [Tensor], _ name: String) throws {
            try TensorFile(tensors).write(to: directory.appending("\(name)/model.safetensors"))
        }

        private func merged(
            _ method: String, models: [String], parameters: String, layout: String = "{}", workers: Int = 1
        ) async throws -> [Tensor] {
            let job = directory.appending("job.yaml")
            let entries = models.map { "{model: \($0)}" }.joined(separator: ", ")
            let text = """
                merge_method: \(method)
                base_model: base
                models: [\(entries)]
                parameters: {\(parameters)}
                kfac: {layout: \(layout)}
                allow_unchanged: true
                output: out

                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: job))
            try await Client.runJob(job, workers: workers, in: directory, options: ["--quiet", "--overwrite"])
            return try TensorFile(reading: directory.appending("out/merged/model.safetensors")).tensors
        }

        /// More elements than a worker reads at a time, of which many have equal magnitudes in 16 bits.
        @Test(arguments: [Tensor.ElementType.bfloat16, .float32, .float64])
        func `ties keeps the largest elements of a long tensor, and of equal ones the first`(
            type: Tensor.ElementType
        ) async throws {
            var random = SplitMix64(seed: 5)
            let count = 350_000
            // Only fp64 tells these apart.
            let values = random.values(count).map { type == .float64 ? 1 + $0 * 1e-9 : $0 }
            let model = Tensor("w", .float64, [700, 500], bytes: values.withUnsafeBytes { Data($0) })
                .converted(to: type)
            let zeros = Tensor("w", [700, 500], [Float](repeating: 0, count: count)).converted(to: type)
            try write([zeros], "base")
            try write([model], "a")
            let exact = model.values
            let order = exact.indices.sorted { left, right in
                (exact[right].magnitude, left) < (exact[left].magnitude, right)
            }
            var expected = [Double](repeating: 0, count: count)
            for index in order.prefix(Int(0.3 * Double(count))) { expected[index] = exact[index] }
            var bytes: Set<Data> = []
            for workers in [1, 2] {
                let merged = try await merged("ties", models: ["a"], parameters: "density: 0.3", workers: workers)
                #expect(merged[0].values == expected)
                bytes.insert(merged[0].bytes)
            }
            #expect(bytes.count == 1)
        }

        @Test(arguments: methods)
        func `models that equal the base give it bit for bit`(method: String) async throws {
            for type in [Tensor.ElementType.float32, .bfloat16, .float64] {
                let base = tensors(seed: 1).map { $0.converted(to: type) }
                for name in ["base", "a", "b"] { try write(base, name) }
                let models = ["slerp", "nearswap", "arcee_fusion"].contains(method) ? ["a"] : ["a", "b"]
                let merged = try await merged(method, models: models, parameters: "density: 0.6, t: 0.3")
                for tensor in base {
                    let found = try #require(merged.first { $0.name == tensor.name })
                    #expect(found.bytes == tensor.bytes, "\(tensor.name) \(type)")
                }
            }
        }

        /// At t = 0 the result is the base, and not the transpose of its bytes.
        @Test func `slerp takes a weight that is stored as [d_in, d_out] as it is`() async throws {
            for (index, name) in ["base", "a"].enumerated() { try write(tensors(seed: UInt64(index)), name) }
            let merged = try await merged("slerp", models: ["a"], parameters: "t: 0", layout: "{fc: in_out}")
            let weight = try #require(merged.first { $0.name == "fc.weight" })
            #expect(weight.bytes == tensors(seed: 0)[0].bytes)
        }

        @Test(arguments: random)
        func `masks depend on the seed, and not on workers or on other models`(method: String) async throws {
            for (index, name) in ["base", "a", "b"].enumerated() { try write(tensors(seed: UInt64(index)), name) }
            let parameters = "density: 0.5, random_seed: 3"
            let alone = try await merged(method, models: ["a"], parameters: parameters)
            #expect(
                try await merged(method, models: ["a"], parameters: parameters, workers: 2).map(\.bytes)
                    == alone.map(\.bytes))
            let other = try await merged(method, models: ["a"], parameters: "density: 0.5, random_seed: 4")
            #expect(other.map(\.bytes) != alone.map(\.bytes))
            // A model of no weight draws nothing from the other's numbers.
            let beside = try await merged(method, models: ["b, parameters: {weight: 0}", "a"], parameters: parameters)
            #expect(beside.map(\.bytes) == alone.map(\.bytes))
        }
    }
}
