import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The form `pseudo_rows` from partial sums with joint rows, against the joint form in fp64 from the same captures.
    @Suite(.timeLimit(.minutes(10))) struct JointPartialsTests: PushSuite {
        let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "regularizer", "report"]
        }

        /// Two files of each task, of different numbers of samples.
        private static let split = [0..<5, 5..<SmallModel.samples]
        private static let all = (inputs: 100, gradients: 100)

        private func setRanks(_ inputs: Int, _ gradients: Int, _ settings: String = "") {
            model.job.curvature = [
                "normalization: expand",
                "regularizer: {form: pseudo_rows, ranks: {inputs: \(inputs), gradients: \(gradients)}\(settings)}",
            ]
        }

        private func sums(_ name: String, _ ranks: (inputs: Int, gradients: Int)?) throws -> PartialSums {
            var sums = PartialSums(capture: try #require(model.captures[name]), normalization: "expand", run: name)
            sums.jointRanks = ranks
            return sums
        }

        /// Writes the files of all tasks, and puts them in the place of captures.
        @discardableResult
        private func usePartials(
            _ split: [Range<Int>], _ ranks: (inputs: Int, gradients: Int)?
        ) throws -> [[String]] {
            let paths = try SmallModel.taskNames.map { name in
                try split.enumerated().map { rank, samples in
                    let path = model.directory.appending("partials/\(name)/\(rank).safetensors")
                    try sums(name, ranks).file(rank: rank, sequence: 0, samples: samples).write(to: path)
                    return path
                }
            }
            for (index, name) in SmallModel.taskNames.enumerated() {
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "partials/\(name)/*.safetensors"
            }
            return paths
        }

        private func change(_ path: String, _ change: (inout TensorFile) throws -> Void) throws {
            var file = try TensorFile(reading: path)
            try change(&file)
            try file.write(to: path)
        }

        private func file(_ output: String, _ kind: String, _ name: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/\(kind)/\(name)/\(kind).safetensors")
        }

        private func expectPenalties(
            _ found: TensorFile, _ expected: JointReference, relative: Double = 1e-5,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let rows = try JointReference(file: found)
            for seed: UInt64 in 1...5 {
                var random = SplitMix64(seed: seed)
                var change = Dictionary(
                    uniqueKeysWithValues: JointReference.layers.map { ($0.name, random.values($0.inputs * $0.outputs)) }
                )
                change[JointReference.parameter.name] = random.values(JointReference.parameter.count)
                expectClose(
                    rows.penalty(change), expected.penalty(change), relative: relative, sourceLocation: sourceLocation)
            }
        }

        // MARK: - Files

        @Test func `two files with all rows equal the whole, for every task and target`() async throws {
            setRanks(100, 100)
            model.job.output = "captured"
            try model.write()
            let captured = try await model.run()
            try usePartials(Self.split, Self.all)
            model.job.output = "summed"
            try model.write()
            let summed = try await model.run()
            for name in SmallModel.taskNames {
                for kind in ["factors", "regularizer"] {
                    let (found, whole) = (try file(summed, kind, name), try file(captured, kind, name))
                    try expectPenalties(found, try JointReference(file: whole))
                    #expect(Set(found.tensors.map(\.name)) == Set(whole.tensors.map(\.name)))
                    for tensor in found.tensors where !tensor.name.hasSuffix("_rows") {
                        let expected = try whole.tensor(tensor.name)
                        #expect(relativeDistance(tensor.values, expected.values) < 1e-5, "\(kind) \(tensor.name)")
                    }
                }
                let factors = try file(summed, "factors", name)
                #expect(factors.metadata["joint_rows"]?.contains("{\"inputs\":12,\"gradients\":24}") == true)
            }
        }

        @Test func `the rows of two files are joined by their samples, and compressed to the job's ranks`()
            async throws
        {
            setRanks(5, 7, ", targets: all")
            try usePartials(Self.split, (inputs: 4, gradients: 8))
            try model.write()
            let output = try await model.run()
            let tasks = try SmallModel.taskNames.map { name in
                let parts = try Self.split.map { samples in
                    (try #require(try sums(name, (4, 8)).jointRows(of: samples)).rows, samples.count)
                }
                let (rows, kept) = try JointReference(parts: parts).compressed(inputRank: 5, gradientRank: 7)
                let found = try file(output, "factors", name)
                try expectPenalties(found, rows)
                let stated = try #require(found.metadata["joint_rows"])
                let object = try #require(
                    try JSONSerialization.jsonObject(with: Data(stated.utf8)) as? [String: [String: Double]])
                #expect(object["ranks"] == ["inputs": 5, "gradients": 7])
                expectClose(
                    [object["kept"]?["inputs"] ?? 0, object["kept"]?["gradients"] ?? 0], kept, absolute: 1e-6)
                return rows
            }
            let joined = try JointReference(joining: tasks).compressed(inputRank: 5, gradientRank: 7).rows
            try expectPenalties(try file(output, "regularizer", "all"), joined)
        }

        @Test func `the rows of one file stay as they are`() async throws {
            setRanks(2, 3)
            let paths = try usePartials([0..<SmallModel.samples], (inputs: 5, gradients: 7))
            try model.write()
            let output = try await model.run()
            for (name, path) in zip(SmallModel.taskNames, paths.map { $0[0] }) {
                let (found, given) = (try file(output, "factors", name), try TensorFile(reading: path))
                for tensor in given.tensors where tensor.name.contains("put_") || tensor.name.contains("gradient_") {
                    #expect(try found.tensor(tensor.name).bytes == tensor.bytes, "\(tensor.name)")
                }
                #expect(found.metadata["joint_rows"]?.contains("{\"inputs\":5,\"gradients\":7}") == true)
            }
        }

        @Test func `any number of workers writes the same bytes, from files and from a pushed run`() async throws {
            setRanks(5, 7)
            let paths = try usePartials(Self.split, (inputs: 4, gradients: 8))
            var outputs: [String] = []
            for workers in 1...3 {
                model.job.output = "out-\(workers)"
                try model.write()
                outputs.append(try await model.run(workers: workers))
            }
            for other in outputs.dropFirst() { try requireSameBytes(other, outputs[0]) }
            try await Cluster.with { cluster in
                for worker in 0..<2 { try cluster.startWorker("w\(worker)") }
                for own in paths { try await requirePush(cluster, own.reversed()) }
                try use({ "run:\($0)" }, output: "pushed")
                let result = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
                for name in SmallModel.taskNames {
                    for kind in ["factors", "regularizer"] {
                        let pushed = try file(model.directory.appending("pushed"), kind, name)
                        #expect(pushed.bytes == (try file(outputs[0], kind, name)).bytes)
                    }
                }
            }
        }

        // MARK: - Refusals

        @Test func `files without joint rows, of other positions and of other layers are refused by name`() async throws
        {
            setRanks(5, 7)
            let paths = try usePartials(Self.split, (inputs: 4, gradients: 8))
            try sums("alpha", nil).file(rank: 1, sequence: 0, samples: Self.split[1]).write(to: paths[0][1])
            try change(paths[1][1]) { file in
                file.tensors.removeAll { $0.name == "k.input_squares" || $0.name == "q.gradient_rows" }
            }
            try change(paths[2][0]) { file in
                file.tensors = file.tensors.map { tensor in
                    tensor.name == "norm.weight.gradient_rows" ? tensor.rows(0..<7) : tensor
                }
            }
            try model.write()
            try await model.expectRefusal(
                "partials/alpha/1.safetensors: holds no joint rows, but ",
                "partials/alpha/0.safetensors does; expected them in all files of a run, or in none",
                "partials/beta/1.safetensors: lacks the joint rows' tensor \"k.input_squares\"; expected the shape [3]",
                "partials/beta/1.safetensors: lacks the joint rows' tensor \"q.gradient_rows\"",
                "partials/gamma/0.safetensors: tensor \"norm.weight.gradient_rows\" has the shape [7, 6]; expected 8 rows"
            )
        }

        @Test func `partial sums without joint rows are refused by the form, and those with them taken by others`()
            async throws
        {
            setRanks(5, 7)
            try usePartials(Self.split, nil)
            try model.write()
            try await model.expectRefusal(
                "the form \"pseudo_rows\" is made of captured rows, or of the joint rows of factors and partial sums, but the "
                    + "\"factors\" of task \"alpha\" have none")
            try usePartials(Self.split, Self.all)
            model.job.curvature = ["normalization: expand"]
            try model.write()
            let output = try await model.run()
            let found = try file(output, "factors", "alpha")
            #expect(found.metadata["joint_rows"] == nil && !found.tensors.contains { $0.name.hasSuffix("_rows") })
        }

        @Test func `joint rows that contradict their sums fail the job, and are not taken by a coordinator`()
            async throws
        {
            setRanks(5, 7)
            let paths = try usePartials(Self.split, (inputs: 4, gradients: 8))
            try change(paths[0][1]) { file in
                let index = try #require(file.tensors.firstIndex { $0.name == "fc.gradient_squares" })
                let squares = file.tensors[index]
                file.tensors[index] = Tensor(squares.name, squares.shape, squares.values.map { Float(2 * $0) })
            }
            try model.write()
            let run = ["run", model.jobPath, "--workers", "1", "--state-directory", model.directory.path]
            let result = try await Client.run(run, in: model.directory)
            #expect(result.exitCode != 0)
            #expect(
                result.errors.contains("0.safetensors and 1 more: the elements of \"fc.gradient_squares\" sum to"),
                "\(result.errors)")
            try await Cluster.with { cluster in
                let refused = try await push(cluster, [paths[0][1]])
                #expect(refused.exitCode == 2)
                #expect(
                    refused.errors.contains("the elements of \"fc.gradient_squares\" sum to")
                        && refused.errors.contains("the trace of \"fc.B\" divided by 14.0"), "\(refused.errors)")
            }
        }
    }
}
