import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Methods that give all directions one size, on checkpoints whose small directions are rounding.
    @Suite struct RaisedRoundingTests {
        private static let shape = (rows: 48, columns: 32)
        private let directory: TemporaryDirectory

        init() throws { directory = try TemporaryDirectory() }

        /// Two models in a type, each the base and a matrix of rank 1 whose value is about 24.
        private func write(_ type: Tensor.ElementType) throws {
            var random = SplitMix64(seed: 31)
            let (rows, columns) = Self.shape
            func tensor(_ values: [Double]) -> Tensor {
                Tensor("fc.weight", [rows, columns], values.map { Float($0) }).converted(to: type)
            }
            let base = tensor(random.values(rows * columns))
            for name in ["base", "a", "b"] {
                let (left, right) = (random.values(rows), random.values(columns))
                let values = base.values.indices.map { place in
                    base.values[place] + (name == "base" ? 0 : left[place / columns] * right[place % columns])
                }
                try TensorFile([name == "base" ? base : tensor(values)]).write(
                    to: directory.appending("\(name)/model.safetensors"))
            }
        }

        /// The rank that the report states of the matrix, and its warnings about rounding.
        private func merge(_ method: String, _ rest: String) async throws -> (rank: Double, warnings: [String]) {
            let text = """
                merge_method: \(method)
                base_model: base
                models: [{model: a}, {model: b}]
                \(rest)
                output: out

                """
            let path = directory.appending("job.yaml")
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            try await Client.runJob(path, in: directory, options: ["--overwrite", "--quiet"])
            let report = try Report.read(in: directory.appending("out"))
            let merge = try #require(report["merge"] as? [String: Any])
            let health = try #require(merge["health"] as? [String: [String: [Double]]])
            let warnings = try #require(report["warnings"] as? [String])
            return (
                try #require(health["fc.weight"]?["rank"]?.first),
                warnings.filter { $0.contains("singular directions") }
            )
        }

        @Test(arguments: ["iso_c", "iso_cts"], [Tensor.ElementType.bfloat16, .float32])
        func `directions of the models' rounding are named, and rtol leaves them out`(
            method: String, type: Tensor.ElementType
        ) async throws {
            try write(type)
            let published = try await merge(method, "")
            #expect(published.rank > 20)
            #expect(published.warnings.count == 1)
            let start =
                "\"\(method)\" gave the mean size to singular directions that may be only the rounding of the stored "
                + "models, in 1 matrix: \"fc.weight\" ("
            #expect(published.warnings.first?.hasPrefix(start) == true, "\(published.warnings)")
            let tolerant = try await merge(method, "parameters: {rtol: 0.05}")
            #expect(tolerant.rank == 2)
            #expect(tolerant.warnings == [])
        }

        @Test func `models that move every direction raise none of them`() async throws {
            var random = SplitMix64(seed: 32)
            for name in ["base", "a", "b"] {
                let values = random.values(16).map { Float($0) }
                try TensorFile([Tensor("fc.weight", [4, 4], values).converted(to: .bfloat16)]).write(
                    to: directory.appending("\(name)/model.safetensors"))
            }
            let found = try await merge("iso_c", "")
            #expect(found.rank == 4 && found.warnings == [])
        }
    }
}
