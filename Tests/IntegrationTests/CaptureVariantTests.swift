import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Other forms of the same curvature: other element types, several files, finished factors.
    @Suite struct CaptureVariantTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        private func factors(_ output: String, _ task: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
        }

        private func expectClose(_ found: String, _ expected: String, within tolerance: Double) throws {
            for task in SmallModel.taskNames {
                let (found, expected) = (try factors(found, task), try factors(expected, task))
                #expect(found.tensors.map(\.name) == expected.tensors.map(\.name))
                for tensor in expected.tensors {
                    let distance = relativeDistance(try found.tensor(tensor.name).values, tensor.values)
                    #expect(distance <= tolerance, "\(task) \(tensor.name)")
                }
            }
        }

        @Test(arguments: [(Tensor.ElementType.float16, 0x1p-10), (.bfloat16, 0x1p-7)])
        func `half-precision captures agree within their precision, and give the bytes of the same numbers`(
            type: Tensor.ElementType, precision: Double
        ) async throws {
            model.job.outputs = ["factors"]
            let whole = try await model.run(to: "whole")
            let half = try await model.run(to: "half") { $0.convertCaptures(to: type) }
            try expectClose(half, whole, within: precision)
            let same = try await model.run(to: "same") { $0.convertCaptures(to: .float32) }
            try requireSameBytes(half, same)
        }

        @Test func `captures in several files by samples give the same factors`() async throws {
            model.job.outputs = ["factors"]
            let whole = try await model.run(to: "whole")
            let split = try await model.run(to: "split") { model in
                for (index, task) in SmallModel.taskNames.enumerated() {
                    let capture = try #require(model.captures[task])
                    // Positions are rows of a sample. With two probes, each part holds its samples' rows, probe by
                    // probe.
                    for (part, samples) in [0..<5, 5..<12].enumerated() {
                        try Self.part(of: capture, samples: samples)
                            .write(to: model.directory.appending("parts/\(task)-\(part).safetensors"))
                    }
                    model.job.tasks[index].captures = ["parts/\(task)-*.safetensors"]
                }
            }
            try expectClose(split, whole, within: 1e-6)
        }

        @Test func `captures in several files by layers give the same bytes`() async throws {
            model.job.outputs = ["factors"]
            let whole = try await model.run(to: "whole")
            let split = try await model.run(to: "split") { model in
                for (index, task) in SmallModel.taskNames.enumerated() {
                    let capture = try #require(model.captures[task])
                    for layer in ["q", "k", "v", "fc", "norm"] {
                        var part = capture
                        part.tensors.removeAll { !$0.name.hasPrefix("\(layer).") }
                        try part.write(to: model.directory.appending("parts/\(task)-\(layer).safetensors"))
                    }
                    model.job.tasks[index].captures = ["parts/\(task)-*.safetensors"]
                }
            }
            try requireSameBytes(split, whole)
        }

        @Test func `finished factors of another run take the place of captures`() async throws {
            let captured = try await model.run(to: "captured")
            let imported = try await model.run(to: "imported") { model in
                for (index, task) in SmallModel.taskNames.enumerated() {
                    model.job.tasks[index].captures = []
                    model.job.tasks[index].factors = "captured/factors/\(task)"
                }
            }
            let (found, expected) = (try OutputTree(imported), try OutputTree(captured))
            #expect(found.differences(from: expected) == ["report.html", "report.json"])
        }

        @Test func `layers that read the same rows have one A, which is computed once`() async throws {
            model.job.outputs = ["factors", "report"]
            let shared = try await model.run(to: "shared")
            for task in SmallModel.taskNames {
                let found = try factors(shared, task)
                #expect(try found.tensor("q.A").bytes == found.tensor("k.A").bytes)
                #expect(try found.tensor("q.A").bytes == found.tensor("v.A").bytes)
                #expect(try found.tensor("q.B").bytes != found.tensor("k.B").bytes)
            }
            let sharedUnits = try Self.factorUnits(shared)
            let separate = try await model.run(to: "separate") { model in
                try model.changeCapture("beta", "k.input") { $0.replacing(0, with: 0.75) }
            }
            #expect(try Self.factorUnits(separate) == sharedUnits + 1)
            // For 3 tasks: the A of q, k and v and of fc, four B, one F.
            #expect(sharedUnits == 3 * 7)
        }

        // MARK: - Parts

        /// The rows of some samples.
        ///
        /// Inputs are sample by sample; gradients are sample by sample within each probe.
        private static func part(of capture: TensorFile, samples: Range<Int>) -> TensorFile {
            var part = capture
            part.metadata["samples"] = "\(samples.count)"
            part.tensors = capture.tensors.map { tensor in
                let probes = tensor.name.hasSuffix(".input") ? 1 : SmallModel.probes
                let rowsOfSample = tensor.shape[0] / (probes * SmallModel.samples)
                var bytes = Data()
                for probe in 0..<probes {
                    let first = probe * SmallModel.samples
                    bytes +=
                        tensor.rows(
                            (first + samples.lowerBound) * rowsOfSample..<(first + samples.upperBound) * rowsOfSample
                        ).bytes
                }
                let rows = probes * samples.count * rowsOfSample
                return Tensor(tensor.name, tensor.elementType, [rows, tensor.shape[1]], bytes: bytes)
            }
            return part
        }

        private static func factorUnits(_ output: String) throws -> Int {
            let report = try Report.read(in: output)
            let run = try #require(report["run"] as? [String: Any])
            let stages = try #require(run["stages"] as? [String: [String: Any]])
            return try #require(stages["factor"]?["units"] as? Int)
        }
    }
}
