import CPlainBLAS
import ControlGroups
import Dispatch
import Foundation
import Safetensors
import SystemPackage

/// Measures a job of two workers over the layers of two blocks (of ViT-B at full size) and eight tasks, beside peers.
struct ClusterJob {
    private static let tasks = 8
    private static let workers = 2
    let directory: WorkDirectory
    let binaries: String
    let size: MeasuredSize
    let rows: Int
    /// Programs that compute the same.
    let peers: [Peer]
    /// The rounds; in each, kfacd and all peers compute each job once.
    let rounds: Int

    private var layers: [(name: String, inputs: Int, outputs: Int)] {
        let width = size.width
        return [
            ("qkv", width, 3 * width), ("proj", width, width), ("fc1", width, 4 * width), ("fc2", 4 * width, width),
        ]
    }

    /// The lanes of all workers together: `kfacctl run` shares the processors among them.
    private var lanes: Int { Self.workers * max(1, MachineCapacity.current().processors / Self.workers) }

    func measure() throws {
        try generate()
        print(
            "\nplain ssyrk on \(lanes) threads, d = \(4 * size.width), 4096 rows at a time: \(fixed(plainRate(), 0)) "
                + "useful GF/s")
        var factors = Comparison(title: "factors", work: work)
        var inverses = Comparison(title: "factors, regularizers, inverses", work: nil)
        for _ in 0..<rounds {
            factors.add(try run("[factors, report]"), of: "kfacd")
            factors.add(try run("[factors, report]", digests: "content"), of: "kfacd, with SHA-256 of the inputs")
            try measurePeers(&factors, withInverses: false)
            inverses.add(try run("[factors, regularizer, inverses, report]"), of: "kfacd")
            try measurePeers(&inverses, withInverses: true)
        }
        report([factors, inverses])
    }

    private func run(_ outputs: String, digests: String = "header") throws -> Comparison.Run {
        var job = "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        for task in 1...Self.tasks {
            job += "  - {name: task\(task), captures: captures-\(rows)/task\(task).safetensors}\n"
        }
        job += "kfac: {input_digests: \(digests)}\noutputs: \(outputs)\noutput: out\n"
        let path = directory.file("cluster/job.yaml")
        try job.write(toFile: path, atomically: true, encoding: .utf8)
        let outcome = try KfacctlRun(binaries: binaries).run(
            path, workers: Self.workers, output: directory.file("cluster/out"))
        return .kfacd(JobPhases(work: work, outcome: outcome))
    }

    /// Runs the peers on the same captures; they compare their files with those of the last run of kfacd.
    private func measurePeers(_ comparison: inout Comparison, withInverses: Bool) throws {
        for peer in peers {
            guard let python = peer.python else {
                let reason = "skipped: name an interpreter that has it with \(peer.option)"
                comparison.skip(peer.library + peer.variant, because: reason)
                continue
            }
            let result = try peer.run(
                python, in: directory.file("cluster"), captures: directory.file("cluster/captures-\(rows)"),
                reference: directory.file("cluster/out"), withInverses: withInverses, threads: lanes)
            comparison.add(.peer(result), of: result.version + peer.variant)
        }
    }

    private func report(_ comparisons: [Comparison]) {
        print(
            "\ncluster: \(Self.workers) workers, \(Self.tasks) tasks × \(rows) rows, two blocks of width \(size.width); "
                + "peers with \(lanes) threads; median of \(rounds) round\(rounds == 1 ? "" : "s")")
        var table = Table(Comparison.headings)
        comparisons.forEach { $0.add(to: &table) }
        print(table.text)
        var ours: [(title: String, rows: [(title: String, value: String)])] = []
        var peers = Table(["phases of the peers, s"] + Peer.Result.phaseTitles)
        for comparison in comparisons {
            peers.add([comparison.title])
            for (name, run) in comparison.medians {
                switch run {
                case .kfacd(let phases): ours.append(("\(comparison.title): \(name)", phases.rows))
                case .peer(let result): peers.add(["  \(name)"] + result.phases.map { fixed($0) })
                }
            }
        }
        var phases = Table(["phases of kfacd, s"] + ours.indices.map { "(\($0 + 1))" })
        for index in ours[0].rows.indices {
            phases.add([ours[0].rows[index].title] + ours.map { $0.rows[index].value })
        }
        print("\n" + phases.text)
        for (index, job) in ours.enumerated() { print("  (\(index + 1)) \(job.title)") }
        if self.peers.contains(where: { $0.python != nil }) { print("\n" + peers.text) }
    }

    /// The current rate of plain `ssyrk` on all lanes; on some machines two cores share one.
    private func plainRate() -> Double {
        let (dimension, rows, repetitions) = (4 * size.width, 4096, 6)
        let elapsed = seconds {
            DispatchQueue.concurrentPerform(iterations: lanes) { _ in
                let source = [Float](repeating: 0.5, count: rows * dimension)
                var product = [Float](repeating: 0, count: dimension * dimension)
                for _ in 0..<repetitions {
                    cblas_ssyrk(
                        101, 122, 112, Int32(dimension), Int32(rows), 1, source, Int32(dimension), 0, &product,
                        Int32(dimension))
                }
            }
        }
        return Double(lanes) * Double(dimension * dimension) * Double(rows * repetitions) / elapsed / 1e9
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
