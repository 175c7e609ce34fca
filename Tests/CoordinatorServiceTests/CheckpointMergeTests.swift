import Admission
import BlobStore
import FileAccess
import Identifiers
import JobPlan
import Publication
import Safetensors
import SystemPackage
import TestSupport
import Testing

@testable import CoordinatorService

/// Elementwise merges of tensors that take many ranges, from the job file to the merged file.
struct CheckpointMergeTests {
    /// Three whole ranges, a whole block of a fourth one, and a part of another block.
    private static let elementCount = 3 * 32_768 + 4096 + 5
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A whole number from -6 to 6, which every type holds exactly.
    private func value(_ index: Int, seed: Int) -> Float { Float((index &* (2 * seed + 7) + index / 97) % 13 - 6) }

    /// The bytes of a number, the lowest first.
    private func bytes(_ pattern: UInt64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: pattern >> UInt64(8 * $0)) }
    }

    /// The bytes of the tensor in a type.
    private func bytes(_ type: TensorDataType, seed: Int) -> [UInt8] {
        var all: [UInt8] = []
        for index in 0..<Self.elementCount {
            let value = value(index, seed: seed)
            switch type {
            case .float64: all += bytes(Double(value).bitPattern, count: 8)
            case .float32: all += bytes(UInt64(value.bitPattern), count: 4)
            // The upper half of an fp32 is a bfloat16.
            default: all += bytes(UInt64(value.bitPattern >> 16), count: 2)
            }
        }
        return all
    }

    private func write(_ name: String, _ type: TensorDataType, seed: Int) throws {
        let writer = try SafetensorsWriter(
            path: FilePath(directory.appending("\(name).safetensors")),
            tensors: [TensorDescription(name: "w", dataType: type, shape: [Self.elementCount])])
        let bytes = bytes(type, seed: seed)
        try writer.write(bytes.span.bytes, to: "w")
        try writer.finish()
    }

    private func job() throws -> Job {
        let text = """
            merge_method: task_arithmetic
            base_model: base.safetensors
            models:
            - {name: a, model: a.safetensors, parameters: {weight: 0.5}}
            - {name: b, model: b.safetensors, parameters: {weight: 2}}
            dtype: float32
            outputs: [merged]
            output: out
            """
        let job = try JobAdmission.admit(
            Submission(specText: text, specPath: directory.appending("job.yaml"), overwrites: false), as: "job-1",
            roots: .unlimited, owner: ClaimOwner(coordinator: "c", stateDirectory: ""))
        try job.output.claim()
        return job
    }

    private static let types: [[TensorDataType]] = [
        [.bfloat16, .bfloat16, .bfloat16], [.float32, .bfloat16, .float32], [.bfloat16, .float64, .float32],
    ]

    @Test(arguments: types)
    func `each element of a large tensor is the base with the weighted differences`(types: [TensorDataType]) throws {
        for (seed, (name, type)) in zip(["base", "a", "b"], types).enumerated() {
            try write(name, type, seed: seed)
        }
        let job = try job()
        let store = try BlobStore(opening: FilePath(directory.appending("store")))
        let outcome = try CheckpointMerge(job: job, store: store) { _ in nil }.run()
        let path = try job.output.stage("merged").appending("model.safetensors")
        let merged = try SafetensorsFile(opening: path).bytes(of: "w", count: 4 * Self.elementCount)
        var expected: [UInt8] = []
        for index in 0..<Self.elementCount {
            let (base, a, b) = (value(index, seed: 0), value(index, seed: 1), value(index, seed: 2))
            let sum = base + 0.5 * (a - base) + 2 * (b - base)
            expected += bytes(UInt64(sum.bitPattern), count: 4)
        }
        #expect(merged == expected)
        #expect(outcome.files.map(\.path) == [path])
        #expect(outcome.files.map(\.digest) == [try FileDigest.sha256(ofFileAt: path)])
    }
}
