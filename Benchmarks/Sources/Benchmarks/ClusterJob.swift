import CPlainBLAS
import Dispatch
import Foundation
import Safetensors
import SystemPackage

/// Measures a job of two workers over the layers of two blocks (of ViT-B at full size) and eight tasks.
///
/// It compares the wall time with the sum of the kernels' times.
struct ClusterJob {
    private static let tasks = 8
    let directory: WorkDirectory
    let binaries: String
    let size: MeasuredSize
    let rows: Int

    private var layers: [(name: String, inputs: Int, outputs: Int)] {
        let width = size.width
        return [
            ("qkv", width, 3 * width), ("proj", width, width), ("fc1", width, 4 * width), ("fc2", 4 * width, width),
        ]
    }

    func measure() throws {
        try generate()
        let plain = plainRate()
        print(
            "\nplain ssyrk on two threads, d = \(4 * size.width), 4096 rows at a time: \(fixed(plain, 0)) useful GF/s")
        print(
            "\ncluster: two workers of one lane, \(Self.tasks) tasks × \(rows) rows, two blocks of width \(size.width)")
        try measure("factors only", outputs: "[factors, report]")
        try measure("factors only, inputs named by their headers", outputs: "[factors, report]", digests: "header")
        try measure("factors, regularizers, inverses", outputs: "[factors, regularizer, inverses, report]")
    }

    private func measure(_ title: String, outputs: String, digests: String = "content") throws {
        var job = "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        for task in 1...Self.tasks {
            job += "  - {name: task\(task), captures: captures-\(rows)/task\(task).safetensors}\n"
        }
        job += "kfac: {input_digests: \(digests)}\noutputs: \(outputs)\noutput: out\n"
        let path = directory.file("cluster/job.yaml")
        try job.write(toFile: path, atomically: true, encoding: .utf8)
        let outcome = try KfacctlRun(binaries: binaries).run(path, workers: 2, output: directory.file("cluster/out"))
        let run = outcome.report["run"] as? [String: Any]
        let stages = run?["stages"] as? [String: [String: Any]] ?? [:]
        func sum(_ stage: String, _ key: String) -> Double { (stages[stage]?[key] as? NSNumber)?.doubleValue ?? 0 }
        let kernels = stages.keys.reduce(0) { $0 + sum($1, "kernel_seconds") }
        let useful = work / 1e9
        print("  \(title): wall \(fixed(outcome.wallSeconds)) s")
        print(
            "    kernels \(fixed(kernels)) core-s, so \(fixed(kernels / 2)) s on two cores: overhead "
                + "\(fixed(100 * (outcome.wallSeconds / (kernels / 2) - 1), 1)) %")
        let factor = sum("factor", "elapsed_seconds")
        print(
            "    factor units: \(fixed(useful / factor * 2, 0)) useful GF/s on two cores, in kernels alone "
                + "\(fixed(useful / sum("factor", "kernel_seconds") * 2, 0))")
        for (name, row) in stages.sorted(by: { $0.key < $1.key }) {
            print("    \(name): \(row["units"] ?? 0) units, \(fixed(sum(name, "elapsed_seconds"))) s")
        }
        print("    peak memory in MiB: \(outcome.peakMebibytes)")
    }

    /// The current rate of two threads of plain `ssyrk`; on some machines two cores share one.
    private func plainRate() -> Double {
        let (dimension, rows, repetitions) = (4 * size.width, 4096, 6)
        let elapsed = seconds {
            DispatchQueue.concurrentPerform(iterations: 2) { _ in
                let source = [Float](repeating: 0.5, count: rows * dimension)
                var product = [Float](repeating: 0, count: dimension * dimension)
                for _ in 0..<repetitions {
                    cblas_ssyrk(
                        101, 122, 112, Int32(dimension), Int32(rows), 1, source, Int32(dimension), 0, &product,
                        Int32(dimension))
                }
            }
        }
        return 2 * Double(dimension * dimension) * Double(rows * repetitions) / elapsed / 1e9
    }

    /// d²·rows, summed over all factors.
    private var work: Double {
        let perBlock = layers.reduce(0.0) { sum, layer in
            sum + Double((layer.inputs + 1) * (layer.inputs + 1)) + Double(layer.outputs * layer.outputs)
        }
        return 2 * perBlock * Double(Self.tasks * rows)
    }

    private func generate() throws {
        let files = ModelFiles(directory: directory)
        var base: [TensorDescription] = []
        var captures: [TensorDescription] = []
        for block in 0..<2 {
            for (name, inputs, outputs) in layers {
                let layer = "blocks.\(block).\(name)"
                base.append(TensorDescription(name: "\(layer).weight", dataType: .float32, shape: [outputs, inputs]))
                base.append(TensorDescription(name: "\(layer).bias", dataType: .float32, shape: [outputs]))
                captures.append(TensorDescription(name: "\(layer).input", dataType: .float32, shape: [rows, inputs]))
                captures.append(
                    TensorDescription(name: "\(layer).output_grad", dataType: .float32, shape: [rows, outputs]))
            }
        }
        try files.write("cluster/base.safetensors", base, seed: 1)
        for task in 1...Self.tasks {
            try files.write(
                "cluster/captures-\(rows)/task\(task).safetensors", captures,
                metadata: ["format": "kfacd.capture/1", "samples": "\(rows / 50)", "probes": "1"], seed: 100 + task)
        }
    }
}
