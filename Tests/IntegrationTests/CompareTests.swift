import Foundation
import TestSupport
import Testing

/// `kfacctl compare` as a gate: nothing that differs passes.
@Suite(.timeLimit(.minutes(5))) struct CompareTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func compare(
        _ file: [Tensor], _ reference: [Tensor], _ options: String...
    ) async throws -> (code: Int32, text: String) {
        try TensorFile(file).write(to: directory.appending("file.safetensors"))
        try TensorFile(reference).write(to: directory.appending("reference.safetensors"))
        let paths = ["file.safetensors", "reference.safetensors"].map(directory.appending)
        let result = try await Client.run(["compare"] + paths + options, in: directory)
        return (result.exitCode, result.output + result.errors)
    }

    private let numbers = Tensor("w", [3], [1, 2, 3])
    private var integers: Tensor { Tensor("ids", .int64, [1], bytes: Data([1, 0, 0, 0, 0, 0, 0, 0])) }

    @Test(arguments: [Float.nan, .infinity, -.infinity], [true, false])
    func `what is not finite differs from everything, itself included`(value: Float, isInBoth: Bool) async throws {
        let changed = numbers.replacing(1, with: value)
        for pair in [(changed, isInBoth ? changed : numbers), (isInBoth ? changed : numbers, changed)] {
            for options in [[], ["--tolerance", "1e30"]] {
                let paths = ["file.safetensors", "reference.safetensors"].map(directory.appending)
                try TensorFile([pair.0]).write(to: paths[0])
                try TensorFile([pair.1]).write(to: paths[1])
                let result = try await Client.run(["compare"] + paths + options, in: directory)
                #expect(result.exitCode == 1)
                #expect(result.errors.contains("1 tensors hold NaN or infinity, which differ from everything: \"w\""))
            }
        }
    }

    @Test func `equal integers are equal, and others differ`() async throws {
        #expect(try await compare([integers], [integers], "--tolerance", "0").code == 0)
        let others = Tensor("ids", .int64, [1], bytes: Data([2, 0, 0, 0, 0, 0, 0, 0]))
        let shown = try await compare([others], [integers])
        #expect(shown.code == 0)
        #expect(shown.text.contains("other values"))
        #expect(try await compare([others], [integers], "--tolerance", "1e9").code == 1)
        #expect(try await compare([integers], [Tensor("ids", [1], [1])], "--tolerance", "1e9").code == 1)
    }

    @Test func `tensors that only the file holds are listed, and fail a tolerance`() async throws {
        let shown = try await compare([numbers, integers], [numbers])
        #expect(shown.code == 0)
        #expect(shown.text.contains("1 more tensors are not in REFERENCE: \"ids\""))
        let refused = try await compare([numbers, integers], [numbers], "--tolerance", "0")
        #expect(refused.code == 1)
        #expect(try await compare([numbers, integers], [numbers], "--tolerance", "0", "--subset").code == 0)
        #expect(refused.text.contains("holds tensors that REFERENCE does not: \"ids\""))
    }

    @Test(arguments: ["nan", "inf", "-1"]) func `a tolerance that closes no gate is refused`(tolerance: String)
        async throws
    {
        let result = try await compare([numbers], [numbers], "--tolerance=\(tolerance)")
        #expect(result.code != 0)
        #expect(result.text.contains("--tolerance must be a number of at least 0."))
    }

    @Test func `squares neither overflow nor vanish`() async throws {
        for scale in [1e-300, 1e200] {
            func tensor(_ values: [Double]) -> Tensor {
                Tensor("w", .float64, [2], bytes: values.map { $0 * scale }.withUnsafeBytes { Data($0) })
            }
            let result = try await compare([tensor([3, 4])], [tensor([0, 4])])
            #expect(result.text.contains("largest difference 7.5e-01 (w)"), "\(result.text)")
        }
    }

    @Test func `anything beside a reference of zeros is beyond every tolerance`() async throws {
        let result = try await compare([numbers], [Tensor("w", [3], [0, 0, 0])], "--tolerance", "1e30")
        #expect(result.code == 1)
        #expect(result.text.contains("reference is 0"))
    }
}
