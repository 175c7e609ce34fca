import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A `kfac` merge whose factors say little.
    ///
    /// The cases are the unit of captures, layers without curvature, tensors without factors, and raised damping.
    @Suite struct MergeScaleTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.method = "kfac"
            model.job.outputs = ["merged", "report"]
            try model.write()
        }

        private func merged(_ output: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/merged/model.safetensors")
        }

        /// Runs the job as written, and returns the console's text.
        private func run() async throws -> (output: String, errors: String) {
            try model.write()
            let result = try await Client.runJob(
                model.jobPath, in: model.directory, options: ["--quiet", "--overwrite"])
            return (model.outputPath, result.errors)
        }

        private func change(_ suffix: String, _ value: (Float) -> Float) throws {
            for task in SmallModel.taskNames {
                for tensor in try #require(model.captures[task]).tensors where tensor.name.hasSuffix(suffix) {
                    try model.changeCapture(task, tensor.name) {
                        Tensor($0.name, $0.shape, $0.values.map { value(Float($0)) })
                    }
                }
            }
        }

        /// θ₀ + Σ share · w (θ_t − θ₀).
        private func mean(_ name: String, _ coefficients: [Double]) throws -> [Double] {
            let base = try model.base.tensor(name).values
            var sum = base
            for (task, coefficient) in zip(SmallModel.taskNames, coefficients) {
                let values = try #require(try model.checkpoints[task]?.tensor(name).values)
                for index in base.indices { sum[index] += coefficient * (values[index] - base[index]) }
            }
            return sum
        }

        @Test(arguments: [[], ["damping: {rule: pi}"]])
        func `gradients in another unit give the same merge`(curvature: [String]) async throws {
            model.job.curvature = curvature
            let plain = try merged(try await run().output)
            for unit in [Float(1e-4), 1e4] {
                let captures = model.captures
                try change("grad") { $0 * unit }
                let scaled = try merged(try await run().output)
                for tensor in plain.tensors {
                    let distance = relativeDistance(try scaled.tensor(tensor.name).values, tensor.values)
                    #expect(distance < 1e-6, "\(tensor.name) with gradients times \(unit)")
                }
                model.captures = captures
            }
        }

        @Test func `inputs of a layer without a bias in another unit give the same merge`() async throws {
            let plain = try merged(try await run().output)
            try change("fc.input") { $0 * 1e-4 }
            let scaled = try merged(try await run().output)
            for tensor in plain.tensors {
                let distance = relativeDistance(try scaled.tensor(tensor.name).values, tensor.values)
                #expect(distance < 1e-6, "\(tensor.name)")
            }
        }

        @Test(arguments: [Tensor.ElementType.float32, .bfloat16])
        func `a model merged with itself is itself, bit for bit`(type: Tensor.ElementType) async throws {
            func converted(_ file: TensorFile) -> TensorFile {
                TensorFile(
                    file.tensors.map { $0.elementType == .float32 ? $0.converted(to: type) : $0 },
                    metadata: file.metadata)
            }
            model.base = converted(model.base)
            model.checkpoints = model.checkpoints.mapValues(converted)
            model.captures["alpha"]?.metadata["task"] = nil
            for (index, name) in ["one", "two", "three"].enumerated() {
                model.job.tasks[index] = JobFile.Task(
                    name: name, model: "checkpoints/alpha.safetensors", captures: ["captures/alpha.safetensors"])
            }
            let found = try merged(try await run().output)
            let itself = try #require(model.checkpoints["alpha"])
            for tensor in itself.tensors {
                #expect(try found.tensor(tensor.name).bytes == tensor.bytes, "\(tensor.name)")
            }
        }

        @Test func `a mean of equal models is that model`() async throws {
            model.job.method = "weighted_average"
            for index in model.job.tasks.indices {
                model.job.tasks[index] = JobFile.Task(name: "task\(index)", model: "checkpoints/alpha.safetensors")
            }
            let found = try merged(try await run().output)
            for tensor in try #require(model.checkpoints["alpha"]).tensors where tensor.elementType == .float32 {
                #expect(relativeDistance(try found.tensor(tensor.name).values, tensor.values) < 1e-7, "\(tensor.name)")
            }
        }

        @Test func `layers without gradients and tensors without factors take the weighted mean`() async throws {
            try change("fc.output_grad") { _ in 0 }
            try change("norm.weight.grad") { _ in 0 }
            model.job.tasks[0].others = ["parameters: {weight: -1}"]
            model.job.tasks[1].others = ["curvature_weight: 24"]
            let (output, errors) = try await run()
            let found = try merged(output)
            for name in ["fc.weight", "norm.weight", "embed.weight"] {
                // Shares 12, 24 and 12 of 48.
                let expected = try mean(name, [-0.25, 0.5, 0.25])
                #expect(relativeDistance(try found.tensor(name).values, expected) < 1e-7, "\(name)")
            }
            let told =
                "2 of 5 layers and parameters have no curvature in any task, and take the weighted mean: fc, norm.weight."
            #expect(errors.contains(told), "\(errors)")
            let report = try Report.read(in: output)
            #expect((report["warnings"] as? [String])?.contains { $0.contains(told) } == true)
            let merge = try #require(report["merge"] as? [String: Any])
            #expect((merge["merged_by_weighted_mean"] as? [String])?.contains("embed.weight") == true)
            #expect(merge["merged_by_task_arithmetic"] == nil)
        }

        @Test func `an input that is always zero keeps the mean's column`() async throws {
            for task in SmallModel.taskNames {
                try model.changeCapture(task, "fc.input") { tensor in
                    Tensor(
                        tensor.name, tensor.shape,
                        tensor.values.enumerated().map { $0.offset % 5 == 2 ? 0 : Float($0.element) })
                }
            }
            let found = try merged(try await run().output).tensor("fc.weight").values
            let expected = try mean("fc.weight", [1.0 / 3, 1.0 / 3, 1.0 / 3])
            for index in expected.indices where index % 5 == 2 {
                #expect(abs(found[index] - expected[index]) < 1e-6, "element \(index)")
            }
            #expect(relativeDistance(found, expected) > 1e-3)
        }

        @Test func `the console says where damping exceeds the mean eigenvalue`() async throws {
            model.job.curvature = ["damping: {rule: absolute, value: 1e3}"]
            let (output, errors) = try await run()
            let told = "the damping of 9 of 9 factors exceeds their mean eigenvalue: fc.A ("
            #expect(errors.contains(told), "\(errors)")
            #expect((try Report.read(in: output)["warnings"] as? [String])?.count == 1)
        }

        @Test func `damping that was raised stands beside what was asked for, and is told`() async throws {
            // Each side has one row for each sample, so no factor of fc has full rank.
            for task in SmallModel.taskNames {
                for name in ["fc.input", "fc.output_grad"] {
                    try model.changeCapture(task, name) { tensor in
                        let width = tensor.shape[1]
                        return Tensor(
                            tensor.name, tensor.shape,
                            tensor.values.indices.map { Float($0 % width == 0 ? 1 : 0.5) })
                    }
                }
            }
            model.job.curvature = ["damping: {rule: relative, value: 0}", "regularizer: {targets: all}"]
            model.job.outputs = ["merged", "inverses", "report"]
            let (output, errors) = try await run()
            #expect(errors.contains("was raised above what was asked for"), "\(errors)")
            #expect(errors.contains("fc.A (0 to "), "\(errors)")
            let merge = try #require(try Report.read(in: output)["merge"] as? [String: Any])
            let health = try #require((merge["health"] as? [String: [String: [Double]]])?["fc"])
            #expect(health["damping"] == [0, 0])
            #expect(health["damping_used"]?.allSatisfy { $0 > 0 } == true)
            let inverses = try TensorFile(reading: "\(output)/inverses/all/inverses.safetensors")
            #expect(inverses.metadata["damping"] == "relative")
            #expect(inverses.metadata["damping_value"] == "0.0")
            #expect(inverses.metadata["damping_asked"]?.contains("\"fc.A\":0.0") == true)
            #expect(inverses.metadata["damping_used"]?.contains("\"fc.A\":0.0,") == false)
        }

        @Test func `a merge that loses much of its tasks' norm is told`() async throws {
            // The vectors are 1, −1, 1, under the same block times 1, 2, 1. The blocks' weights cancel, and the mean
            // does not.
            let gradients = try #require(model.captures["alpha"]).tensor("norm.weight.grad").values
            for (task, sign) in zip(SmallModel.taskNames, [Float(1), -1, 1]) {
                var checkpoint = try #require(model.checkpoints[task])
                let index = try #require(checkpoint.tensors.firstIndex { $0.name == "norm.weight" })
                let base = try model.base.tensor("norm.weight").values.map { Float($0) }
                let moved = base.enumerated().map { $0.element + ($0.offset == 0 ? sign : 0) }
                checkpoint.tensors[index] = Tensor("norm.weight", [base.count], moved)
                model.checkpoints[task] = checkpoint
                try model.changeCapture(task, "norm.weight.grad") { tensor in
                    Tensor(
                        tensor.name, tensor.shape,
                        gradients.map { Float($0) * (task == "beta" ? Float(2).squareRoot() : 1) })
                }
            }
            let (_, errors) = try await run()
            let told = "have less than nine tenths of the norm of their task vectors' weighted mean: norm.weight ("
            #expect(errors.contains(told), "\(errors)")
        }
    }
}
