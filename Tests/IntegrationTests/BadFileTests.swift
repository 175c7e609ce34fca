import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Missing, damaged or hostile files, and checkpoints that do not match the base.
    @Suite struct BadFileTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        private func url(_ name: String) -> URL { URL(fileURLWithPath: model.directory.appending(name)) }

        @Test func `a base that does not exist is named with the key's line`() async throws {
            try FileManager.default.removeItem(at: url("base.safetensors"))
            try await model.expectRefusal(
                "job.yaml:2:13 (base_model)", model.directory.appending("base.safetensors"), "No such file or directory"
            )
        }

        @Test func `a truncated checkpoint is told with both sizes`() async throws {
            let bytes = try #require(model.checkpoints["beta"]?.bytes)
            try bytes.dropLast(5).write(to: url("checkpoints/beta.safetensors"))
            try await model.expectRefusal(
                "checkpoints/beta.safetensors: is truncated: it has \(bytes.count - 5) bytes; expected \(bytes.count).")
        }

        @Test func `a capture that ends within its header is refused`() async throws {
            let bytes = try #require(model.captures["beta"]?.bytes)
            try bytes.prefix(100).write(to: url("captures/beta.safetensors"))
            try await model.expectRefusal("captures/beta.safetensors: announces a header of ", "only 92 bytes follow")
        }

        @Test(arguments: HostileHeader.all)
        func `a hostile header is refused`(hostile: HostileHeader) async throws {
            try hostile.bytes.write(to: url("captures/alpha.safetensors"))
            try await model.expectRefusal("captures/alpha.safetensors: \(hostile.problem)")
        }

        @Test func `a tensor of the base that a checkpoint lacks is named`() async throws {
            model.checkpoints["gamma"]?.tensors.removeAll { $0.name == "fc.weight" }
            try model.write()
            try await model.expectRefusal(
                "checkpoints/gamma.safetensors: tensor \"fc.weight\" of the base is missing in the checkpoint of task "
                    + "\"gamma\"; expected F32 [7, 5].")
        }

        @Test func `a tensor of a checkpoint that the base lacks is named`() async throws {
            model.base.tensors.removeAll { $0.name == "embed.weight" }
            try model.write()
            for name in SmallModel.taskNames {
                #expect(model.checkpoints[name]?.tensors.contains { $0.name == "embed.weight" } == true)
            }
            try await model.expectRefusal(
                "checkpoints/alpha.safetensors: tensor \"embed.weight\" of task \"alpha\" is not in the base",
                "tensor \"embed.weight\" of task \"gamma\" is not in the base")
        }

        @Test func `a tensor of another shape is told with both shapes`() async throws {
            model.checkpoints["beta"]?.tensors.removeAll { $0.name == "norm.weight" }
            model.checkpoints["beta"]?.tensors.append(Tensor("norm.weight", [5], [1, 2, 3, 4, 5]))
            try model.write()
            try await model.expectRefusal(
                "checkpoints/beta.safetensors: tensor \"norm.weight\" of task \"beta\" has the shape [5]; the base has "
                    + "[6].")
        }
    }

    /// A file that may break a parser.
    struct HostileHeader: CustomTestStringConvertible {
        let testDescription: String
        let bytes: Data
        let problem: String

        private static let metadata = #""__metadata__":{"format":"kfacd.capture/1","samples":"1"}"#

        private static func tensor(_ name: String, _ start: Int, _ end: Int) -> String {
            "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[\(start),\(end)]}"
        }

        static let all = [
            HostileHeader(
                testDescription: "a key twice",
                bytes: TensorFile.bytes(
                    header: "{\(metadata),\(tensor("q.input", 0, 8)),\(tensor("q.input", 8, 16))}",
                    payload: Data(count: 16)),
                problem: "tensor \"q.input\" follows bytes 0 to 8 of the data, which belong to no tensor"),
            HostileHeader(
                testDescription: "overlapping tensors",
                bytes: TensorFile.bytes(
                    header: "{\(metadata),\(tensor("q.input", 0, 8)),\(tensor("q.output_grad", 4, 12))}",
                    payload: Data(count: 12)),
                problem: "tensor \"q.output_grad\" shares bytes 4 to 8 of the data with tensor \"q.input\""),
            HostileHeader(
                testDescription: "a hole",
                bytes: TensorFile.bytes(
                    header: "{\(metadata),\(tensor("q.input", 0, 8)),\(tensor("q.output_grad", 12, 20))}",
                    payload: Data(count: 20)),
                problem: "tensor \"q.output_grad\" follows bytes 8 to 12 of the data, which belong to no tensor"),
            HostileHeader(
                testDescription: "a header of 2^63 bytes",
                bytes: TensorFile.bytes(header: "{}", length: 1 << 63), problem: "announces a header of "),
            HostileHeader(
                testDescription: "a header of 1 GB",
                bytes: TensorFile.bytes(header: "{}", length: 1_000_000_000),
                problem: "announces a header of 1000000000 bytes; expected at most 100000000."),
            HostileHeader(
                testDescription: "a shape whose size overflows",
                bytes: TensorFile.bytes(
                    header: "{\(metadata),\"q.input\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
                        + "\"data_offsets\":[0,0]}}"),
                problem: "tensor \"q.input\" is F32 [4611686018427387904, 4], more bytes than can be counted"),
        ]
    }
}
