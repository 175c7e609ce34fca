import Foundation
import Safetensors
import SystemPackage

/// Measures task arithmetic over a base and eight checkpoints through the whole system, beside memcpy of the same
/// bytes.
struct MergeStage {
    private static let tasks = 8
    let directory: WorkDirectory
    let binaries: String
    let size: MeasuredSize

    func measure() throws {
        let shape = size.mergedShape
        let layout = (0..<size.mergedTensors).map {
            TensorDescription(name: "layer.\($0).weight", dataType: .bfloat16, shape: shape)
        }
        let files = ModelFiles(directory: directory)
        try files.write("merge/base.safetensors", layout, seed: 1)
        var job = "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        for task in 1...Self.tasks {
            try files.write("merge/task\(task).safetensors", layout, seed: 1 + task)
            job += "  - {model: task\(task).safetensors, parameters: {weight: 0.3}}\n"
        }
        job += "outputs: [merged]\noutput: out\n"
        let path = directory.file("merge/job.yaml")
        try job.write(toFile: path, atomically: true, encoding: .utf8)
        let modelBytes = Double(size.mergedTensors * shape[0] * shape[1] * 2)
        let bytes = modelBytes * Double(Self.tasks + 2)
        let copy = copyRate()
        let outcome = try KfacctlRun(binaries: binaries).run(path, workers: 1, output: directory.file("merge/out"))
        print("\nmerge of a base and \(Self.tasks) bf16 checkpoints (\(fixed(bytes / 1e9, 1)) GB in and out, warm)")
        print(
            "  \(fixed(outcome.wallSeconds)) s with start-up and fsync, \(fixed(bytes / outcome.wallSeconds / 1e9, 1)) GB/s; "
                + "memcpy on two threads moves \(fixed(copy / 1e9, 1)) GB/s; peak \(outcome.peakMebibytes) MiB")
    }

    /// The bytes that two threads of memcpy read and write in a second.
    private func copyRate() -> Double {
        let count = size.copiedBytes
        let source = [UInt8](repeating: 1, count: count)
        var target = [UInt8](repeating: 0, count: count)
        return source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                guard let first = source.baseAddress, let second = target.baseAddress else { return 0 }
                // Each thread writes its own half.
                nonisolated(unsafe) let (from, to) = (first, second)
                let best =
                    (0..<3).map { _ in
                        seconds {
                            DispatchQueue.concurrentPerform(iterations: 2) { half in
                                memcpy(to + half * count / 2, from + half * count / 2, count / 2)
                            }
                        }
                    }.min() ?? .infinity
                return 2 * Double(count) / best
            }
        }
    }
}
