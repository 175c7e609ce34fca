import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Models of PyTorch, transformers and PEFT, captured by an independent program, against its float64 values.
    @Suite(.timeLimit(.minutes(10))) struct ArchitectureTests {
        /// An architecture, and its tensors without factors: embeddings, and heads that are tied to them.
        struct Example: Sendable, CustomTestStringConvertible {
            let name: String
            var withoutFactors: [String] = []
            var testDescription: String { name }

            static let all = [
                Example(name: "gpt2", withoutFactors: ["transformer.wpe.weight", "transformer.wte.weight"]),
                Example(
                    name: "t5",
                    withoutFactors: [
                        "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "shared.weight",
                    ]),
                Example(name: "mixtral", withoutFactors: ["model.embed_tokens.weight"]),
                Example(name: "mixtral-fused", withoutFactors: ["model.embed_tokens.weight"]),
                Example(name: "resnet"), Example(name: "attention"),
                Example(
                    name: "encoder",
                    withoutFactors: ["position", "token_type", "word"].map {
                        "bert.embeddings.\($0)_embeddings.weight"
                    }),
                // The adapter leaves the embedding as it is.
                Example(name: "adapter"),
            ]
        }

        // MARK: - Comparison

        private func expectFactors(_ output: String, _ fixture: ArchitectureFixture, _ normalization: String) throws {
            for task in ArchitectureFixture.tasks {
                let file = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
                let expected = fixture.expected(task, normalization)
                #expect(file.tensors.map(\.name) == expected.keys.sorted())
                for (name, values) in expected {
                    let distance = relativeDistance(try file.tensor(name).values, values)
                    #expect(distance < 1e-5, "\(task) \(name)")
                }
                try expectCounts(file.metadata, try fixture.counts(task), Set(file.tensors.map(\.name)))
            }
        }

        private func expectCounts(
            _ metadata: [String: String], _ counts: ArchitectureFixture.Counts, _ names: Set<String>
        ) throws {
            #expect(metadata["samples"] == "\(counts.samples)")
            let expected = counts.rows.filter { names.contains("\($0.key).A") }
            let text = Data(try #require(metadata["rows"]).utf8)
            if let rows = try? JSONDecoder().decode([String: Int].self, from: text) {
                #expect(rows == expected)
            } else {
                #expect(expected.allSatisfy { "\($0.value)" == metadata["rows"] }, "\(metadata["rows"] ?? "")")
            }
        }

        private func expectMerge(_ output: String, _ fixture: ArchitectureFixture, _ normalization: String) throws {
            let names = OutputTree.paths(below: "\(output)/merged").filter { $0.hasSuffix(".safetensors") }
            try #require(names.count == 1)
            let merged = try TensorFile(reading: "\(output)/merged/\(names[0])")
            let expected = fixture.expected("merged", normalization)
            #expect(merged.tensors.map(\.name) == expected.keys.sorted())
            for tensor in merged.tensors {
                let base = try fixture.base.tensor(tensor.name)
                if tensor.elementType == .int64 || tensor.name.contains("running_") {
                    #expect(tensor.bytes == base.bytes, "\(tensor.name)")
                    continue
                }
                let values = try #require(expected[tensor.name])
                let error = norm(zip(tensor.values, values).map { $0 - $1 })
                // Both weights are rounded to F32.
                let limit = 1e-5 * norm(zip(values, base.values).map { $0 - $1 }) + 0x1p-23 * norm(values)
                #expect(error <= limit, "\(tensor.name)")
                #expect(error <= 1e-5 * norm(values), "\(tensor.name)")
            }
        }

        private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

        private func weightedMeans(_ output: String) throws -> [String] {
            let merge = try #require(try Report.read(in: output)["merge"] as? [String: Any])
            return merge["merged_by_weighted_mean"] as? [String] ?? []
        }

        // MARK: - Tests

        @Test(arguments: Example.all, ["tak", "expand", "reduce"])
        func `captures give the factors, the counts and the merge of a computation by sample`(
            example: Example, normalization: String
        ) async throws {
            let fixture = try ArchitectureFixture(example.name)
            let output = try await fixture.run(normalization, into: "out")
            try expectFactors(output, fixture, normalization)
            try expectMerge(output, fixture, normalization)
            guard normalization == "tak" else { return }
            #expect(try weightedMeans(output) == example.withoutFactors)
            let other = try await fixture.run(normalization, into: "other", workers: 3)
            #expect(try OutputTree(other).differences(from: OutputTree(output)) == [])
        }

        @Test(arguments: Example.all, ["tak", "expand", "reduce"])
        func `streams of the captured rows give the same factors, counts and merge`(
            example: Example, normalization: String
        ) async throws {
            let fixture = try ArchitectureFixture(example.name)
            try await Cluster.with { cluster in
                for worker in 0..<2 { try cluster.startWorker("w\(worker)", options: ["--row-memory", "256"]) }
                let output = try await fixture.runStreams(normalization, into: "out", on: cluster)
                try expectFactors(output, fixture, normalization)
                try expectMerge(output, fixture, normalization)
            }
        }

        @Test(arguments: Example.all)
        func `partial sums of 4, 2 and 1 ranks give the same factors, and the bytes of their order`(
            example: Example
        ) async throws {
            let fixture = try ArchitectureFixture(example.name)
            let normalization = fixture.partialsNormalization
            let output = try await fixture.run(normalization, into: "out", usingPartials: true)
            try expectFactors(output, fixture, normalization)
            try expectMerge(output, fixture, normalization)
            let other = try await fixture.run(normalization, into: "other", workers: 3, usingPartials: true)
            #expect(try OutputTree(other).differences(from: OutputTree(output)) == [])
            let path = "factors/\(ArchitectureFixture.tasks[0])/factors.safetensors"
            let four = try TensorFile(reading: "\(output)/\(path)")
            try expectOrderedSums(four, fixture)
            for ranks in [2, 1] {
                try fixture.joinRanks()
                #expect(try fixture.partials().count == ranks)
                let output = try await fixture.run(
                    normalization, into: "out\(ranks)", usingPartials: true, outputs: "factors")
                let factors = try TensorFile(reading: "\(output)/\(path)")
                #expect(factors.metadata == four.metadata)
                try expectOrderedSums(factors, fixture)
                for tensor in factors.tensors {
                    let distance = relativeDistance(tensor.values, try four.tensor(tensor.name).values)
                    #expect(distance < 1e-6, "\(tensor.name)")
                }
            }
        }

        /// Expects the sums in the order of the ranks, divided and rounded once.
        private func expectOrderedSums(_ factors: TensorFile, _ fixture: ArchitectureFixture) throws {
            let files = try fixture.partials()
            let counts = try fixture.counts(ArchitectureFixture.tasks[0])
            let isReduced = fixture.partialsNormalization == "reduce"
            let captured = Dictionary(uniqueKeysWithValues: fixture.storedNames.map { ($1, $0) })
            for found in factors.tensors where !found.name.hasSuffix(".F") {
                let (layer, side) = (String(found.name.dropLast(2)), found.name.suffix(2))
                let count = isReduced ? counts.samples : try #require(counts.rows[layer])
                let divisor = Double(count * (side == ".B" ? ArchitectureFixture.probes : 1))
                let name = try #require(captured[layer]) + side
                let parts = try files.map { try $0.tensor(name).values }
                let total = parts.dropFirst().reduce(parts[0]) { zip($0, $1).map(+) }
                let (values, dimension) = (found.values, found.shape[0])
                let triangle = (0..<dimension).flatMap { row in (0...row).map { values[row * dimension + $0] } }
                #expect(triangle == total.map { Double(Float($0 / divisor)) }, "\(found.name)")
            }
        }
    }
}
