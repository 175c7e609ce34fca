import Identifiers
import JobFiles
import Laboratory
import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import TestSupport
import Testing

struct CaptureRecorderTests {
    private let model: TinyModel
    private let tokens: [Float]

    init() throws {
        model = try TinyModel()
        tokens = model.tokens(samples: 40)
    }

    private func capture(
        _ name: String, _ samples: [Int], _ settings: CaptureSettings, lanes: Int = 2, task: String = "a"
    ) async throws -> Capture {
        let recorder = CaptureRecorder(
            base: model.base, team: PassTeam(model.base.layout, laneCount: lanes), settings: settings)
        try await recorder.write(task, tokens: tokens, samples: samples, to: model.path(name))
        return try Capture(opening: model.path(name))
    }

    @Test func `the file has the shapes of its format and says whose it is`() async throws {
        let capture = try await capture("c", Array(0..<20), CaptureSettings(probes: .sampled(3)))
        let metadata = try CaptureMetadata(parsing: capture.file.header.metadata, file: capture.file.path)
        #expect(metadata.sampleCount == 20)
        #expect(metadata.probeCount == 3)
        #expect(metadata.task == TaskName(rawValue: "a"))
        #expect(metadata.baseDigest == BlobDigest(sha256: model.base.digest))
        let shapes = Dictionary(uniqueKeysWithValues: capture.file.header.tensors.map { ($0.name, $0.shape) })
        var expected: [String: [Int]] = [:]
        for (layer, outputs, inputs) in [("qkv", 24, 8), ("proj", 8, 8), ("fc1", 16, 8), ("fc2", 8, 16)] {
            expected["blocks.0.\(layer).input"] = [100, inputs]
            expected["blocks.0.\(layer).output_grad"] = [300, outputs]
        }
        expected["lin_proj.input"] = [20, 8]
        expected["lin_proj.output_grad"] = [60, 6]
        expected["cls_token.grad"] = [60, 8]
        for normalization in ["ln_pre", "blocks.0.ln1", "blocks.0.ln2", "ln_post"] {
            expected["\(normalization).weight.grad"] = [60, 8]
            expected["\(normalization).bias.grad"] = [60, 8]
        }
        #expect(shapes == expected)
    }

    @Test func `the daemon's reader takes the file`() async throws {
        _ = try await capture("c.safetensors", [0, 1, 2], CaptureSettings(probes: .sampled(2)))
        let set = try CaptureSet(opening: [model.path("c.safetensors")])
        #expect(set.files.count == 1)
    }

    @Test func `rows are those of a pass at the base with the sample's probe`() async throws {
        // 17 samples are two shards. The last sample is alone in the second.
        let samples = [30, 2] + Array(3..<18)
        let capture = try await capture("c", samples, CaptureSettings(probes: .sampled(2), seed: 4))
        for (place, sample) in [(0, 30), (1, 2), (16, 17)] {
            var random = SeededRandom(seed: 4, purpose: "probes of a, sample \(sample)")
            var pass = TransformerPass(model.base.layout, sampleCapacity: 1)
            pass.load([sample], from: tokens)
            pass.forward(model.base.parameters)
            for probe in 0..<2 {
                let direction = (0..<6).map { _ in Float(random.nextNormal()) }
                var gradient = [Float](repeating: 0, count: model.base.layout.count)
                pass.cotangent(model.base.parameters, of: direction, gradient: &gradient)
                for rows in pass.layerRows {
                    let name = rows.layer.name
                    expectClose(
                        try capture.rows("\(name).input", at: place, of: rows.rowsPerSample), Array(rows.inputs),
                        relative: 1e-4, absolute: 1e-5)
                    expectClose(
                        try capture.rows("\(name).output_grad", at: probe * 17 + place, of: rows.rowsPerSample),
                        Array(rows.outputGradients), relative: 1e-4, absolute: 1e-5)
                }
                for rows in pass.vectorRows {
                    expectClose(
                        try capture.rows("\(rows.name).grad", at: probe * 17 + place, of: 1), Array(rows.gradients),
                        relative: 1e-4, absolute: 1e-5)
                }
            }
        }
    }

    @Test func `fewer probes are the first of more`() async throws {
        let one = try await capture("one", Array(0..<20), CaptureSettings(probes: .sampled(1)))
        let three = try await capture("three", Array(0..<20), CaptureSettings(probes: .sampled(3)))
        for tensor in one.file.header.tensors {
            let values = try one.values(tensor.name)
            #expect(try Array(three.values(tensor.name).prefix(values.count)) == values)
        }
    }

    @Test func `the same seed gives the same bytes with one and three threads, another seed others`() async throws {
        let samples = Array(0..<40)
        let settings = CaptureSettings(probes: .sampled(2), seed: 1)
        _ = try await capture("one", samples, settings, lanes: 1)
        _ = try await capture("three", samples, settings, lanes: 3)
        _ = try await capture("other", samples, CaptureSettings(probes: .sampled(2), seed: 2))
        let first = try model.directory.read("one")
        #expect(try model.directory.read("three") == first)
        #expect(try model.directory.read("other") != first)
    }

    @Test func `exact probes give the factor of the closed form`() async throws {
        let samples = Array(0..<20)
        let capture = try await capture("c", samples, CaptureSettings(probes: .exact))
        let probes = try #require(Int(capture.file.header.metadata["probes"] ?? ""))
        #expect(probes == 6)
        // f = u / ‖u‖, so ∂f/∂u = (I − f fᵀ) / ‖u‖, a symmetric projection P over a length: Σ_c g_c g_cᵀ = P / ‖u‖².
        let gradients = try capture.values("lin_proj.output_grad").map(Double.init)
        let inputs = try capture.values("lin_proj.input").map(Double.init)
        let projection = try #require(model.base.layout.layers.last)
        var expected = [Double](repeating: 0, count: 36)
        for sample in samples {
            let outputs = (0..<6).map { row in
                (0..<8).reduce(0.0) { sum, column in
                    let weight = model.base.parameters[projection.weight.offset + row * 8 + column]
                    return sum + Double(weight) * inputs[sample * 8 + column]
                }
            }
            let square = outputs.reduce(0) { $0 + $1 * $1 }
            for row in 0..<6 {
                for column in 0..<6 {
                    let identity = row == column ? 1.0 : 0
                    expected[row * 6 + column] += (identity - outputs[row] * outputs[column] / square) / square / 20
                }
            }
        }
        var found = [Double](repeating: 0, count: 36)
        for row in 0..<20 * probes {
            for left in 0..<6 {
                for right in 0..<6 {
                    found[left * 6 + right] +=
                        gradients[row * 6 + left] * gradients[row * 6 + right] / Double(20 * probes)
                }
            }
        }
        expectClose(found, expected, relative: 1e-4, absolute: 1e-5)
    }

    // MARK: - What cannot be captured

    private func refusal(_ samples: [Int], _ settings: CaptureSettings = CaptureSettings()) async throws -> String {
        let recorder = CaptureRecorder(
            base: model.base, team: PassTeam(model.base.layout, laneCount: 1), settings: settings)
        let found = await message { () async throws(LaboratoryError) in
            try await recorder.write("a", tokens: tokens, samples: samples, to: model.path("c"))
        }
        #expect(try model.directory.names() == ["base.safetensors"])
        return found
    }

    @Test func `a sample that is not there is refused`() async throws {
        #expect(try await refusal([0, 40]) == "task a: sample 40 is not one of its 40, from 0.")
        #expect(try await refusal([-1]) == "task a: sample -1 is not one of its 40, from 0.")
    }

    @Test func `no samples are refused`() async throws {
        #expect(try await refusal([]) == "task a: no samples; a capture needs at least one.")
    }

    @Test func `an impossible number of probes is refused`() async throws {
        for count in [0, -1, 4097, .max] {
            #expect(
                try await refusal([0], CaptureSettings(probes: .sampled(count)))
                    == "task a: \(count) probes; expected 1 to 4096.")
        }
    }

    @Test func `a directory that is not there is named`() async throws {
        let recorder = CaptureRecorder(
            base: model.base, team: PassTeam(model.base.layout, laneCount: 1), settings: CaptureSettings())
        let path = model.path("missing/c")
        await #expect(throws: LaboratoryError.self) {
            try await recorder.write("a", tokens: tokens, samples: [0], to: path)
        }
    }

    @Test func `a cancelled task leaves no file`() async throws {
        let recorder = CaptureRecorder(
            base: model.base, team: PassTeam(model.base.layout, laneCount: 2),
            settings: CaptureSettings(probes: .sampled(4096)))
        let (tokens, path) = (tokens, model.path("c"))
        let task = Task { () -> String in
            // Cancelled before the start or in the middle; 4096 probes would take long.
            await message { () async throws(LaboratoryError) in
                try await recorder.write("a", tokens: tokens, samples: Array(0..<40), to: path)
            }
        }
        task.cancel()
        #expect(await task.value == "interrupted.")
        #expect(try model.directory.names() == ["base.safetensors"])
    }
}

/// A capture file's tensors as arrays.
private struct Capture {
    let file: SafetensorsFile

    init(opening path: FilePath) throws { file = try SafetensorsFile(opening: path) }

    func values(_ name: String) throws -> [Float] {
        let tensor = try #require(file.header[name])
        let bytes = try file.bytes(of: name, count: tensor.byteCount)
        var values = [Float](repeating: 0, count: tensor.byteCount / 4)
        var span = values.mutableSpan
        try ElementType.f32.decode(bytes.span.bytes, into: &span)
        return values
    }

    /// The rows of one sample, by its position.
    func rows(_ name: String, at place: Int, of rowsPerSample: Int) throws -> [Float] {
        let width = try #require(file.header[name]).shape[1] * rowsPerSample
        return Array(try values(name)[place * width..<(place + 1) * width])
    }
}
