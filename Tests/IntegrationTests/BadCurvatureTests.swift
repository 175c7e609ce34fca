import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Captures and factor sets that do not belong to the job, or hold values that are not finite.
    @Suite struct BadCurvatureTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        @Test func `a captured layer that the base lacks is named with the nearest one`() async throws {
            for name in ["fc.input", "fc.output_grad"] {
                try model.changeCapture("beta", name) { $0.renamed("fcc\(name.dropFirst(2))") }
            }
            try model.write()
            try await model.expectRefusal(
                "task \"beta\" has curvature for the layer \"fcc\", but the base has no tensor \"fcc.weight\". Did you "
                    + "mean \"fc\"?")
        }

        @Test func `a layer that other tasks captured and one did not is named`() async throws {
            model.captures["gamma"]?.tensors.removeAll { $0.name.hasPrefix("fc.") }
            try model.write()
            try await model.expectRefusal(
                "captures of task \"gamma\": the layer \"fc\", which other tasks have, is missing")
        }

        @Test func `rows of another width than the base's layer are told`() async throws {
            try model.changeCapture("alpha", "fc.input") { tensor in
                Tensor(tensor.name, [36, 4], tensor.values.prefix(36 * 4).map { Float($0) })
            }
            try model.write()
            try await model.expectRefusal(
                "tensor \"fc.input\" has 4 columns; the base's \"fc.weight\" is [7, 5], so d_in = 5 was expected.")
        }

        @Test func `input and gradient rows that disagree are told with the product that was expected`() async throws {
            try model.changeCapture("beta", "v.output_grad") { $0.rows(0..<60) }
            try model.write()
            try await model.expectRefusal(
                "captures/beta.safetensors: layer \"v\" has 36 input rows but 60 output-gradient rows; expected 36 × 2 "
                    + "probes = 72.")
        }

        @Test func `reduce of rows that are no multiple of the samples asks for the sample of each row`() async throws {
            try model.changeCapture("beta", "v.input") { $0.rows(0..<35) }
            try model.changeCapture("beta", "v.output_grad") { $0.rows(0..<70) }
            model.job.curvature = ["normalization: reduce"]
            try model.write()
            try await model.expectRefusal(
                "captures of task \"beta\": layer \"v\" has 35 rows of 12 samples; \"reduce\" needs the sample of each "
                    + "row. Capture it with \"v.row_samples\", or use the normalization \"tak\" or \"expand\".")
        }

        @Test(arguments: [Float.nan, .infinity, -.infinity])
        func `what is no number in a capture fails the job with layer, tensor and first row`(
            value: Float
        ) async throws {
            // Rows 17 and 30 of five columns.
            try model.changeCapture("beta", "fc.input") {
                $0.replacing(17 * 5 + 3, with: value).replacing(30 * 5, with: value)
            }
            try model.write()
            try await model.expectRefusal(
                "captures/beta.safetensors: tensor \"fc.input\" holds NaN or infinity, first in row 17;")
        }

        @Test func `in a capture of several files the row is that of the file that is named`() async throws {
            try model.captures["alpha"]?.write(to: model.directory.appending("captures/parts/0.safetensors"))
            try model.changeCapture("alpha", "fc.input") { $0.replacing(20 * 5, with: .nan) }
            try model.captures["alpha"]?.write(to: model.directory.appending("captures/parts/1.safetensors"))
            model.job.tasks[0].name = "alpha"
            model.job.tasks[0].captures = ["captures/parts/*.safetensors"]
            try model.job.write(to: model.jobPath)
            try await model.expectRefusal(
                "captures/parts/1.safetensors: tensor \"fc.input\" holds NaN or infinity, first in row 20;")
        }

        @Test func `a NaN in the gradients of a parameter is told by its row`() async throws {
            try model.changeCapture("gamma", "norm.weight.grad") { $0.replacing(23 * 6 + 5, with: .nan) }
            try model.write()
            try await model.expectRefusal(
                "captures/gamma.safetensors: tensor \"norm.weight.grad\" holds NaN or infinity, first in row 23;")
        }

        @Test func `a capture of no samples is refused`() async throws {
            model.captures["alpha"]?.metadata["samples"] = "0"
            try model.write()
            try await model.expectRefusal(
                "captures/alpha.safetensors: was captured from 0 samples; expected at least 1.")
        }

        @Test func `factors of another normalization are refused, and both are named`() async throws {
            model.job.curvature = ["normalization: expand"]
            model.job.output = "expanded"
            model.job.outputs = ["factors"]
            try model.write()
            try await model.run()
            useFactors("expanded/factors/alpha", normalization: "reduce")
            try model.write()
            try await model.expectRefusal(
                "expanded/factors/alpha/factors.safetensors: the factors have the normalization \"expand\", but the "
                    + "job asks for \"reduce\"")
        }

        @Test func `factors state the normalization of a job that does not, and must agree`() async throws {
            for (name, normalization) in [("expanded", "expand"), ("reduced", "reduce")] {
                model.job.curvature = ["normalization: \(normalization)"]
                model.job.output = name
                model.job.outputs = ["factors"]
                try model.write()
                try await model.run()
            }
            for (index, name) in SmallModel.taskNames.enumerated() {
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "expanded/factors/\(name)"
            }
            model.job.outputs = ["regularizer", "report"]
            let spelt = try await model.run(to: "spelt") { $0.job.curvature = ["normalization: expand"] }
            let inferred = try await model.run(to: "inferred") { $0.job.curvature = [] }
            let file = "regularizer/alpha/regularizer.safetensors"
            let files = try [spelt, inferred].map { try Data(contentsOf: URL(fileURLWithPath: "\($0)/\(file)")) }
            #expect(files[0] == files[1])
            let options = try #require(try Report.read(in: inferred)["options"] as? [String: Any])
            #expect(options["normalization"] as? String == "expand")
            model.job.curvature = []
            model.job.output = "mixed"
            model.job.tasks[1].factors = "reduced/factors/beta"
            try model.write()
            let place = model.directory.appending("expanded/factors/alpha/factors.safetensors")
            try await model.expectRefusal(
                "reduced/factors/beta/factors.safetensors: the factors have the normalization \"reduce\", but those of task "
                    + "\"alpha\" have \"expand\" (\(place)). Factors of different normalization cannot be summed: compute "
                    + "them again, or change \"normalization\".")
        }

        @Test func `factors of another base are refused, and both are named`() async throws {
            model.job.output = "earlier"
            model.job.outputs = ["factors"]
            try model.write()
            try await model.run()
            model.base.tensors = model.base.tensors.map { $0.name == "norm.weight" ? $0.replacing(0, with: 0.5) : $0 }
            useFactors("earlier/factors/alpha", normalization: "tak")
            try model.write()
            try await model.expectRefusal(
                "earlier/factors/alpha/factors.safetensors: the file belongs to a base with the digest ",
                "Curvature of one base says nothing about another")
        }

        private func useFactors(_ path: String, normalization: String) {
            model.job.tasks[0].name = "alpha"
            model.job.tasks[0].captures = []
            model.job.tasks[0].factors = path
            model.job.curvature = ["normalization: \(normalization)"]
            model.job.output = "out"
        }
    }
}
