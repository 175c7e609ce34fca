import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A job that writes compressed factors, and a job that merges with them.
    @Suite struct CompressedFactorTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        /// A form as the job file has it.
        struct Form: Sendable, CustomTestStringConvertible {
            let text: String
            /// What the form makes of a matrix, by the definition in the documents: `[n, n]`, row by row.
            let decoded: @Sendable (_ exact: [[Double]]) -> [[Double]]

            var testDescription: String { text }

            static let all = [
                Form(text: "bf16") { $0.map { row in row.map { Double(bfloat16(Float($0))) } } },
                Form(text: "{form: block_diagonal, blocks: 2, repair: true}") { exact in
                    let rows = (exact.count + 1) / 2
                    return exact.indices.map { row in
                        exact.indices.map { row / rows == $0 / rows ? exact[row][$0] : 0 }
                    }
                },
                // A scale for each row, since no row is longer than a group.
                Form(text: "{form: int8, repair: true}") { exact in
                    exact.indices.map { row in
                        exact.indices.map { column in
                            let (row, column) = (max(row, column), min(row, column))
                            let scale = (exact[row][...row].map { Float($0.magnitude) }.max() ?? 0) / 127
                            return Double(scale) * Double((Float(exact[row][column]) / scale).rounded(.toNearestOrEven))
                        }
                    }
                },
            ]

            private static func bfloat16(_ value: Float) -> Float {
                let bits = value.bitPattern
                return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
            }
        }

        private func report(_ output: String) throws -> [String: Any] {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(output)/report.json"))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        /// The exact and the compressed factors of a task, in files that hold squares.
        private func factors(_ output: String, _ task: String) throws -> [String: [[Double]]] {
            let file = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
            return Dictionary(
                uniqueKeysWithValues: file.tensors.map { tensor in
                    let order = tensor.shape[0]
                    return (tensor.name, (0..<order).map { Array(tensor.values[$0 * order..<($0 + 1) * order]) })
                })
        }

        /// Runs a job with the factors that another one has written; they are written exactly.
        private func rerun(with factors: String, to output: String) async throws -> String {
            try await model.run(to: output) { model in
                model.job.curvature = []
                for (index, name) in SmallModel.taskNames.enumerated() {
                    model.job.tasks[index].captures = []
                    model.job.tasks[index].factors = "\(factors)/factors/\(name)"
                }
            }
        }

        @Test(arguments: Form.all) func `another job reads what the form makes of each factor`(form: Form) async throws
        {
            model.job.outputs = ["factors", "report"]
            let exact = try await model.run(to: "exact")
            let compressed = try await model.run(to: "compressed") { $0.job.curvature = ["compression: \(form.text)"] }
            let read = try await rerun(with: compressed, to: "read")
            let section = try #require(try report(compressed)["compression"] as? [String: Any])
            let matrices = try #require(section["matrices"] as? [[String: Any]])
            // Nine factors of each task: A and B of four layers, F of a parameter.
            #expect(matrices.count == 27)
            for task in SmallModel.taskNames {
                let (before, after) = (try factors(exact, task), try factors(read, task))
                #expect(before.keys.sorted() == after.keys.sorted())
                for (name, matrix) in before {
                    let row = try #require(
                        matrices.first { $0["tensor"] as? String == name && $0["file"] as? String == "factors/\(task)" }
                    )
                    let shift = try #require(row["shift"] as? Double)
                    var expected = form.decoded(matrix)
                    for index in expected.indices { expected[index][index] += shift }
                    let found = try #require(after[name])
                    expectClose(Array(found.joined()), Array(expected.joined()), relative: 1e-6, absolute: 1e-9)
                    expectClose(
                        try #require(row["relative_error"] as? Double),
                        relativeDistance(Array(found.joined()), Array(matrix.joined())), relative: 1e-3,
                        absolute: 1e-6)
                    #expect(try #require(row["smallest_eigenvalue"] as? Double) > -1e-6)
                }
            }
        }

        /// The merged vector: what the merge adds to the base.
        private func vector(_ output: String) throws -> [Double] {
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors")
            return try model.base.tensors.filter { $0.elementType == .float32 }.flatMap { base in
                zip(try merged.tensor(base.name).values, base.values).map { $0 - $1 }
            }
        }

        @Test func `the job itself merges with exact factors, and another one nearly so`() async throws {
            model.job.method = "kfac"
            model.job.outputs = ["factors", "merged", "report"]
            let exact = try await model.run(to: "exact")
            let compressed = try await model.run(to: "compressed") {
                $0.job.curvature = ["compression: {form: bf16, repair: true}"]
            }
            #expect(try vector(compressed) == (try vector(exact)))
            let section = try #require(try report(compressed)["compression"] as? [String: Any])
            let errors = try #require(section["matrices"] as? [[String: Any]]).compactMap {
                $0["relative_error"] as? Double
            }
            let largest = try #require(errors.max())
            #expect(largest < 0x1p-8)
            let again = try await rerun(with: compressed, to: "again")
            let distance = relativeDistance(try vector(again), try vector(exact))
            print("largest error \(largest); the merge moved by \(distance)")
            #expect(distance > 0)
            // The damping bounds what an error of a factor does to its inverse.
            #expect(distance < 30 * largest)
        }

        @Test func `every matrix of a regularizer is compressed, with its group's strength`() async throws {
            model.job.outputs = ["regularizer", "inverses", "report"]
            let groups = "groups: [{layers: [fc], strength: 0.5}]"
            let exact = try await model.run(to: "exact") { $0.job.curvature = [groups] }
            let compressed = try await model.run(to: "compressed") {
                $0.job.curvature = [groups, "compression: bf16"]
            }
            func tensor(_ output: String, _ name: String) throws -> Tensor {
                try TensorFile(reading: "\(output)/regularizer/alpha/regularizer.safetensors").tensor(name)
            }
            for name in ["fc.A", "fc.B"] {
                let (square, packed) = (try tensor(exact, name), try tensor(compressed, name))
                let order = square.shape[0]
                #expect(packed.elementType == .bfloat16)
                let lower = (0..<order).flatMap { row in (0...row).map { square.values[row * order + $0] } }
                expectClose(packed.values, lower, relative: 0x1p-8)
            }
            // Inverses are not compressed.
            let file = "inverses/alpha/inverses.safetensors"
            let bytes = { try Data(contentsOf: URL(fileURLWithPath: "\($0)/\(file)")) } as (String) throws -> Data
            #expect(try bytes(compressed) == (try bytes(exact)))
        }
    }
}
