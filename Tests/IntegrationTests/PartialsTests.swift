import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Jobs whose tasks bring partial sums instead of rows.
    @Suite struct PartialsTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors"]
        }

        /// A split of a task's samples among files.
        struct Split: Sendable, CustomTestStringConvertible {
            let ranks: Int
            let flushes: Int
            let normalization: String
            var type = Tensor.ElementType.float64
            var testDescription: String { "\(ranks) ranks, \(flushes) flushes, \(normalization), \(type.rawValue)" }

            static let all = [
                Split(ranks: 1, flushes: 1, normalization: "tak"), Split(ranks: 2, flushes: 3, normalization: "expand"),
                Split(ranks: 4, flushes: 2, normalization: "reduce"),
                Split(ranks: 4, flushes: 1, normalization: "tak", type: .float32),
            ]
        }

        /// Writes the partial sums of a task, and puts them in the place of its captures.
        ///
        /// Later files of the sum have earlier names.
        @discardableResult
        private func usePartials(of task: Int, _ split: Split, as factors: String? = nil) throws -> PartialSums {
            let name = SmallModel.taskNames[task]
            let sums = PartialSums(capture: try #require(model.captures[name]), normalization: split.normalization)
            let parts = PartialSums.split(ranks: split.ranks, flushes: split.flushes)
            for (position, part) in parts.enumerated() {
                try sums.file(rank: part.rank, sequence: part.sequence, samples: part.samples, type: split.type)
                    .write(to: path(task, parts.count - 1 - position))
            }
            model.job.tasks[task].captures = []
            model.job.tasks[task].factors = factors ?? "partials/\(name)/*.safetensors"
            return sums
        }

        private func path(_ task: Int, _ file: Int) -> String {
            model.directory.appending("partials/\(SmallModel.taskNames[task])/\(file).safetensors")
        }

        private func change(_ task: Int, _ file: Int, _ change: (inout TensorFile) -> Void) throws {
            var contents = try TensorFile(reading: path(task, file))
            change(&contents)
            try contents.write(to: path(task, file))
        }

        private func factors(_ output: String, _ task: Int) throws -> TensorFile {
            try TensorFile(reading: "\(output)/factors/\(SmallModel.taskNames[task])/factors.safetensors")
        }

        @Test(arguments: Split.all)
        func `partial sums give the factors of their rows, and the bytes of their order`(split: Split) async throws {
            model.job.curvature = ["normalization: \(split.normalization)"]
            model.job.output = "captured"
            try model.write()
            let captured = try await model.run()
            let sums = try (0..<3).map { try usePartials(of: $0, split) }
            model.job.output = "one"
            try model.write()
            let one = try await model.run()
            model.job.output = "three"
            try model.write()
            let three = try await model.run(workers: 3)
            for task in 0..<3 {
                let (found, expected) = (try factors(one, task), try factors(captured, task))
                #expect(found.metadata["samples"] == expected.metadata["samples"])
                #expect(found.bytes == (try factors(three, task)).bytes)
                let exact = Dictionary(uniqueKeysWithValues: try sums[task].sums(of: 0..<SmallModel.samples))
                let parts = try PartialSums.split(ranks: split.ranks, flushes: split.flushes).map { part in
                    Dictionary(uniqueKeysWithValues: try sums[task].sums(of: part.samples))
                }
                #expect(Set(found.tensors.map(\.name)) == Set(exact.keys))
                for tensor in found.tensors {
                    #expect(relativeDistance(tensor.values, try expected.tensor(tensor.name).values) < 1e-6)
                    let divisor = sums[task].divisor(of: tensor.name)
                    let triangle = lowerTriangle(tensor)
                    #expect(relativeDistance(triangle, (exact[tensor.name] ?? []).map { $0 / divisor }) < 1e-5)
                    // The bytes are those of the sum in the order of the plan, rounded once.
                    let ordered = parts.map { part -> [Double] in
                        let elements = part[tensor.name] ?? []
                        return split.type == .float32 ? elements.map { Double(Float($0)) } : elements
                    }
                    let total = ordered.dropFirst().reduce(ordered[0]) { zip($0, $1).map(+) }
                    #expect(triangle == total.map { Double(Float($0 / divisor)) }, "\(tensor.name)")
                }
            }
        }

        private func lowerTriangle(_ tensor: Tensor) -> [Double] {
            let (values, dimension) = (tensor.values, tensor.shape[0])
            return (0..<dimension).flatMap { row in (0...row).map { values[row * dimension + $0] } }
        }

        @Test func `a directory and a list name partial sums too, beside tasks of other kinds`() async throws {
            let split = Split(ranks: 2, flushes: 1, normalization: "tak")
            try usePartials(of: 0, split, as: "partials/alpha")
            try usePartials(of: 1, split, as: "[partials/beta/1.safetensors, partials/beta/0.safetensors]")
            model.job.outputs = ["factors", "regularizer", "merged", "report"]
            try model.write()
            let output = try await model.run()
            let report = try String(contentsOfFile: "\(output)/report.json", encoding: .utf8)
            #expect(report.contains("partial sums of task \\\"alpha\\\""))
        }

        @Test func `a file that comes twice counts once, with a notice`() async throws {
            try usePartials(of: 0, Split(ranks: 2, flushes: 1, normalization: "tak"))
            model.job.outputs = ["factors", "report"]
            try model.write()
            let once = try await model.run()
            try FileManager.default.copyItem(atPath: path(0, 0), toPath: path(0, 7))
            model.job.output = "twice"
            try model.write()
            let twice = try await model.run()
            #expect(try factors(once, 0).bytes == (try factors(twice, 0)).bytes)
            let report = try String(contentsOfFile: "\(twice)/report.json", encoding: .utf8)
            #expect(report.contains("holds the same sequence of the same rank as"))
        }

        @Test func `sums that come twice under two numbers are refused`() async throws {
            try usePartials(of: 0, Split(ranks: 1, flushes: 2, normalization: "tak"))
            try FileManager.default.copyItem(atPath: path(0, 0), toPath: path(0, 2))
            try change(0, 2) { $0.metadata["sequence"] = "2" }
            try model.write()
            try await model.expectRefusal("under another rank or sequence: task \"alpha\" would count their rows twice")
        }

        @Test func `another run, half a file and a missing sequence are named, each in one line`() async throws {
            try usePartials(of: 0, Split(ranks: 2, flushes: 2, normalization: "tak"))
            try usePartials(of: 1, Split(ranks: 2, flushes: 2, normalization: "tak"))
            try usePartials(of: 2, Split(ranks: 2, flushes: 2, normalization: "tak"))
            try change(0, 3) { $0.metadata["run"] = "tuesday" }
            let half = try Data(contentsOf: URL(fileURLWithPath: path(1, 0)))
            try half.dropLast(8).write(to: URL(fileURLWithPath: path(1, 0)))
            try FileManager.default.removeItem(atPath: path(2, 3))
            try model.write()
            try await model.expectRefusal(
                "the run is \"tuesday\"; expected \"monday\" as in",
                "partials/beta/0.safetensors: ",
                "partials/gamma/2.safetensors: the sequence of rank 0 numbered 0 is missing")
        }

        @Test func `a sequence with other bytes is refused`() async throws {
            try usePartials(of: 0, Split(ranks: 1, flushes: 2, normalization: "tak"))
            try FileManager.default.copyItem(atPath: path(0, 0), toPath: path(0, 2))
            try change(0, 2) { $0.metadata["samples"] = "7" }
            try model.write()
            try await model.expectRefusal("but has other bytes; expected one file of that sequence")
        }

        @Test func `partial sums of another task, normalization and base are refused`() async throws {
            try usePartials(of: 0, Split(ranks: 1, flushes: 1, normalization: "reduce"))
            try change(0, 0) {
                $0.metadata["task"] = "beta"
                $0.metadata["sha256_base"] = String(repeating: "00", count: 32)
            }
            try model.write()
            try await model.expectRefusal(
                "the partial sums are of task \"beta\", but stand under task \"alpha\"",
                "the partial sums have the normalization \"reduce\", but the job asks for \"tak\"",
                "the file belongs to a base with the digest 0000")
        }

        @Test func `partial sums are not mixed with factors, captures or each other's kind`() async throws {
            try usePartials(of: 0, Split(ranks: 1, flushes: 2, normalization: "tak"))
            try usePartials(of: 1, Split(ranks: 1, flushes: 2, normalization: "tak"))
            model.job.tasks[0].factors = "[partials/alpha/*.safetensors, captures/gamma.safetensors]"
            model.job.tasks[1].factors = "[captures/alpha.safetensors, captures/beta.safetensors]"
            try model.write()
            try await model.expectRefusal(
                "task \"alpha\" mixes partial sums (", "and 1 more) with other files (",
                "task \"beta\" names 2 files that hold no partial sums, such as")
        }

        @Test func `a sum that is not finite fails the job, and its file is named`() async throws {
            try usePartials(of: 0, Split(ranks: 1, flushes: 2, normalization: "tak", type: .float32))
            try change(0, 1) { file in
                file.tensors = file.tensors.map { $0.name == "fc.B" ? $0.replacing(4, with: .nan) : $0 }
            }
            try model.write()
            let result = try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--state-directory", model.directory.path],
                in: model.directory)
            #expect(result.exitCode == 2)
            let sentence =
                "partials/alpha/1.safetensors: the partial sum of \"fc.B\": row 2 holds NaN or infinity, first in "
            #expect(result.errors.contains(sentence + "column 1"), "\(result.errors)")
        }

        @Test func `inspect shows whose sums a file holds`() async throws {
            try usePartials(of: 0, Split(ranks: 2, flushes: 1, normalization: "tak"))
            let result = try await Client.run(["inspect", path(0, 0)], in: model.directory)
            #expect(result.exitCode == 0)
            for line in ["kind: partials", "run: monday", "rank: 1", "sequence: 0", "samples: 6", "task: alpha"] {
                #expect(result.output.contains("\(line)\n"), "\(result.output)")
            }
        }
    }
}
