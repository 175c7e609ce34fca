import FileAccess
import Foundation
import Identifiers
import JobPlan
import Publication
import TestSupport
import Testing
import UnitOperations

@testable import Admission

/// The table of sizes in kfacd-job(5): its figures follow from the shapes of the models, and a plan confirms them.
@Suite struct SizeTableTests {
    /// A linear layer and the rows that it has for each row of the model.
    private struct Layer {
        var name: String
        var outputs: Int
        var inputs: Int
        var hasBias = false
        var rows = 1.0
    }

    private static func layers(of model: String) -> [Layer] {
        switch model {
        case "ViT-B/16", "GPT-2":
            (0..<12).flatMap { block in
                [("qkv", 2304, 768), ("proj", 768, 768), ("fc1", 3072, 768), ("fc2", 768, 3072)].map {
                    Layer(name: "blocks.\(block).\($0.0)", outputs: $0.1, inputs: $0.2, hasBias: true)
                }
            }
        case "Llama-3-8B":
            (0..<32).flatMap { attention($0) + feedForward("\($0).mlp", rows: 1) }
        default:
            // Two of eight experts take each token.
            (0..<32).flatMap { block in
                attention(block) + [Layer(name: "\(block).gate", outputs: 8, inputs: 4096)]
                    + (0..<8).flatMap { feedForward("\(block).experts.\($0)", rows: 0.25) }
            }
        }
    }

    private static func attention(_ block: Int) -> [Layer] {
        [("q", 4096), ("k", 1024), ("v", 1024), ("o", 4096)].map {
            Layer(name: "\(block).\($0.0)", outputs: $0.1, inputs: 4096)
        }
    }

    private static func feedForward(_ name: String, rows: Double) -> [Layer] {
        [("gate", 14336, 4096), ("up", 14336, 4096), ("down", 4096, 14336)].map {
            Layer(name: "\(name).\($0.0)", outputs: $0.1, inputs: $0.2, rows: rows)
        }
    }

    // MARK: - The formulas of the page

    private static func dimensions(_ layers: [Layer]) -> [Int] {
        layers.flatMap { [$0.inputs + ($0.hasBias ? 1 : 0), $0.outputs] }
    }

    private static func factorBytes(_ layers: [Layer]) -> Int { dimensions(layers).reduce(0) { $0 + 4 * $1 * $1 } }

    /// With M = 1, in BF16.
    private static func rowBytes(_ layers: [Layer]) -> Double {
        layers.reduce(0) { $0 + 2 * $1.rows * Double($1.inputs + $1.outputs) }
    }

    private static func factorMemory(_ n: Int) -> Int {
        // 256 rows of panels of 48 columns, in bfloat16.
        let packed = 2 * 256 * 48 * (n / 48 + 1)
        return 4 * n * n + packed + 6 * n * (n + 1) + 6 * 4096 * n + 64 << 20
    }

    private static func inverseMemory(_ n: Int) -> Int { 8 * n * n + 4 * n * (n + 1) + 64 << 20 }

    @Test(arguments: ["ViT-B/16", "GPT-2", "Llama-3-8B", "Mixtral-8x7B"])
    func `the table's figures follow from the shapes`(model: String) throws {
        let layers = Self.layers(of: model)
        let n = try #require(Self.dimensions(layers).max())
        func shown(_ value: Double, _ unit: Double, _ digits: Int) -> String {
            String(format: "%.\(digits)f", value / unit)
        }
        let factors = Double(Self.factorBytes(layers))
        let row = [
            model, "\(layers.count)", "\(shown(factors, 1e9, factors < 1e10 ? 1 : 0)) GB",
            "\(shown(Self.rowBytes(layers), 1e6, 1)) MB",
            "\(shown(Double(Self.factorMemory(n)), 1e9, 2)) GB", "\(shown(Double(Self.inverseMemory(n)), 1e9, 2)) GB",
        ].joined(separator: " Ta ")
        let page = try ManualPage.jobFile()
        #expect(page.contains(".It \(row)\n"), "\(row)")
    }

    @Test func `a plan of ViT-B/16 has the bytes of the formulas`() throws {
        let layers = Self.layers(of: "ViT-B/16")
        let (samples, positions) = (32, 197)
        let rows = samples * positions
        let directory = try TemporaryDirectory()
        try SparseFile(
            layers.flatMap { [("\($0.name).weight", [$0.outputs, $0.inputs]), ("\($0.name).bias", [$0.outputs])] },
            type: ("F32", 4)
        ).write(to: directory.appending("base.safetensors"))
        try SparseFile(
            layers.flatMap {
                [("\($0.name).input", [rows, $0.inputs]), ("\($0.name).output_grad", [rows, $0.outputs])]
            },
            type: ("BF16", 2), metadata: ["format": "kfacd.capture/1", "samples": "\(samples)", "probes": "1"]
        ).write(to: directory.appending("rows.safetensors"))
        let job = Submission(
            specText: """
                merge_method: task_arithmetic
                base_model: base.safetensors
                models: [{name: t, captures: rows.safetensors}]
                kfac: {regularizer: {targets: all}}
                outputs: [factors, inverses]
                output: out
                """, specPath: directory.appending("job.yaml"), overwrites: false)
        let plan = try JobAdmission.admit(
            job, as: "job-1", roots: .unlimited, owner: ClaimOwner(coordinator: "0123456789abcdef", stateDirectory: "")
        ).plan
        let summary = PlanSummary(of: plan)
        #expect(summary.layers == 48)
        // The inverses have the factors' sizes.
        #expect(summary.diskBytes == UInt64(2 * Self.factorBytes(layers)))
        let factors = try #require(summary.stages.first { $0.name == "factor" })
        #expect(factors.inputBytes == UInt64(Self.rowBytes(layers)) * UInt64(rows))
        #expect(factors.memoryBytesMax == UInt64(Self.factorMemory(3073)))
        let inverses = try #require(summary.stages.first { $0.name == "invert" })
        #expect(inverses.memoryBytesMax == UInt64(Self.inverseMemory(3073)))
    }
}

/// A manual page of the package.
enum ManualPage {
    /// The text of kfacd-job(5).
    ///
    /// - Throws: what Foundation throws when the file cannot be read.
    static func jobFile() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let path = "Deploy/package/usr/share/man/man5/kfacd-job.5"
        return String(decoding: try Data(contentsOf: root.appendingPathComponent(path)), as: UTF8.self)
    }
}

/// A safetensors file whose data are a hole in the file, but for the first number of each tensor.
private struct SparseFile {
    private let header: Data
    private let starts: [Int]
    private let byteCount: Int

    init(_ tensors: [(name: String, shape: [Int])], type: (name: String, bytes: Int), metadata: [String: String] = [:])
    {
        let members = metadata.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
        var entries = metadata.isEmpty ? [] : ["\"__metadata__\":{\(members.joined(separator: ","))}"]
        var (offset, starts) = (0, [Int]())
        for tensor in tensors {
            let end = offset + tensor.shape.reduce(type.bytes, *)
            entries.append(
                "\"\(tensor.name)\":{\"dtype\":\"\(type.name)\",\"shape\":\(tensor.shape),"
                    + "\"data_offsets\":[\(offset),\(end)]}")
            starts.append(offset)
            offset = end
        }
        let text = "{\(entries.joined(separator: ","))}"
        var length = UInt64(text.utf8.count).littleEndian
        header = Data(bytes: &length, count: 8) + Data(text.utf8)
        self.starts = starts
        byteCount = offset
    }

    func write(to path: String) throws {
        try header.write(to: URL(fileURLWithPath: path))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.truncate(atOffset: UInt64(header.count + byteCount))
        for (index, start) in starts.enumerated() {
            try file.seek(toOffset: UInt64(header.count + start))
            try file.write(contentsOf: Data([UInt8(index & 0xFF), UInt8(index >> 8)]))
        }
        try file.close()
    }
}
