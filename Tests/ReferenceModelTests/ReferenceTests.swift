import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Checks the small example's base against float64 references of PyTorch (Fixtures/make_references.py).
///
/// The distance is ‖found − reference‖ / ‖reference‖.
struct ReferenceTests {
    private static let valueLimit = 1e-6
    private static let derivativeLimit = 4e-6

    private let references: SafetensorsFile
    private let layout: ParameterLayout
    private let parameters: [Float]
    private var pass: TransformerPass

    init() throws {
        references = try SafetensorsFile(
            opening: .repository("Tests/ReferenceModelTests/Fixtures/references.safetensors"))
        let base = try SafetensorsFile(opening: .repository("Examples/small/base.safetensors"))
        layout = try ModelShape.small.layout
        parameters = try base.vector("", layout).map { Float($0) }
        func values(_ name: String) throws -> [Float] { try base.values(name).map { Float($0) } }
        let embedding = PatchEmbedding(
            shape: layout.shape, weight: try values("patch.weight"), bias: try values("patch.bias"),
            positions: try values("pos_embed"))
        let images = try references.bytes(of: "images", count: references.tensor("images").byteCount)
        let tokens = embedding.tokens(of: images)
        let samples = images.count / (28 * 28)
        pass = TransformerPass(layout, sampleCapacity: samples)
        pass.load(0..<samples, from: tokens)
        pass.forward(parameters)
    }

    private func gradient(_ pass: inout TransformerPass) throws -> [Float] {
        var gradient = [Float](repeating: 0, count: layout.count)
        pass.cotangent(
            parameters, of: try references.values("cotangent").map { Float($0) }, gradient: &gradient)
        return gradient
    }

    @Test func `features agree`() throws {
        #expect(relativeDistance(pass.features, try references.values("features")) < Self.valueLimit)
    }

    @Test func `the tangent agrees`() throws {
        var pass = pass
        pass.tangent(parameters, along: try references.vector("direction.", layout).map { Float($0) })
        #expect(relativeDistance(pass.featureTangents, try references.values("tangent")) < Self.derivativeLimit)
    }

    @Test func `the gradient of every parameter agrees`() throws {
        var pass = pass
        let found = try gradient(&pass)
        for entry in layout.entries {
            let distance = relativeDistance(found[entry.range], try references.values("gradient.\(entry.name)"))
            #expect(distance < Self.derivativeLimit, "\(entry.name): \(distance)")
        }
    }

    @Test func `the gradients of every sample agree`() throws {
        var pass = pass
        _ = try gradient(&pass)
        for rows in pass.vectorRows {
            let expected = try references.values("sample_gradient.\(rows.name)")
            let distance = relativeDistance(rows.gradients, expected)
            #expect(distance < Self.derivativeLimit, "\(rows.name): \(distance)")
        }
    }

    @Test func `the rows of the last block's layers and of the projection agree`() throws {
        var pass = pass
        _ = try gradient(&pass)
        for rows in pass.layerRows.suffix(5) {
            let name = rows.layer.name
            let inputs = relativeDistance(rows.inputs, try references.values("\(name).input"))
            #expect(inputs < Self.valueLimit, "\(name): \(inputs)")
            let gradients = relativeDistance(rows.outputGradients, try references.values("\(name).output_grad"))
            #expect(gradients < Self.derivativeLimit, "\(name): \(gradients)")
        }
    }
}
