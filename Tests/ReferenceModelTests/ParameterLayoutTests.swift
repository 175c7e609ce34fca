import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

struct ParameterLayoutTests {
    private func names(blocks: Int) -> [String] {
        let parts = ["ln1", "qkv", "proj", "ln2", "fc1", "fc2"]
        let inside = (0..<blocks).flatMap { block in
            parts.flatMap { ["blocks.\(block).\($0).weight", "blocks.\(block).\($0).bias"] }
        }
        return ["cls_token", "ln_pre.weight", "ln_pre.bias"] + inside
            + ["ln_post.weight", "ln_post.bias", "lin_proj.weight"]
    }

    @Test(arguments: [(ModelShape.small, 10_440), (.large, 154_368)])
    func `parameters follow each other without a gap, named as in a checkpoint`(
        shape: ModelShape, count: Int
    ) throws {
        let layout = try shape.layout
        #expect(layout.entries.map(\.name) == names(blocks: shape.depth))
        #expect(layout.count == count)
        var end = 0
        for entry in layout.entries {
            #expect(entry.offset == end)
            #expect(entry.range == end..<(end + entry.shape.reduce(1, *)))
            end = entry.range.upperBound
        }
        #expect(end == count)
    }

    @Test(arguments: [ModelShape.small, .large]) func `shapes are those of the model`(shape: ModelShape) throws {
        let layout = try shape.layout
        let shapes = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0.shape) })
        let (width, hidden) = (shape.width, shape.width * shape.hiddenRatio)
        for name in ["cls_token", "ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias"] {
            #expect(shapes[name] == [width], "\(name)")
        }
        #expect(shapes["lin_proj.weight"] == [shape.featureWidth, width])
        for block in (0..<shape.depth).map({ "blocks.\($0)" }) {
            for name in ["ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "proj.bias", "fc2.bias"] {
                #expect(shapes["\(block).\(name)"] == [width], "\(block).\(name)")
            }
            #expect(shapes["\(block).qkv.weight"] == [3 * width, width])
            #expect(shapes["\(block).qkv.bias"] == [3 * width])
            #expect(shapes["\(block).proj.weight"] == [width, width])
            #expect(shapes["\(block).fc1.weight"] == [hidden, width])
            #expect(shapes["\(block).fc1.bias"] == [hidden])
            #expect(shapes["\(block).fc2.weight"] == [width, hidden])
        }
    }

    @Test(arguments: [ModelShape.small, .large])
    func `layers stand in the order of the model, with weights and biases`(shape: ModelShape) throws {
        let layout = try shape.layout
        let entries = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0) })
        let expected = (0..<shape.depth).flatMap { block in
            ["qkv", "proj", "fc1", "fc2"].map { "blocks.\(block).\($0)" }
        }
        #expect(layout.layers.map(\.name) == expected + ["lin_proj"])
        for layer in layout.layers {
            let weight = try #require(entries["\(layer.name).weight"])
            #expect([layer.outputWidth, layer.inputWidth] == weight.shape)
            #expect(
                layer.weight
                    == MatrixBlock(rows: weight.shape[0], columns: weight.shape[1], offset: weight.offset))
            #expect(layer.biasOffset == entries["\(layer.name).bias"]?.offset)
        }
        #expect(layout.layers.last?.biasOffset == nil)
    }

    @Test(arguments: [ModelShape.small, .large])
    func `vectors are the class token, scales and shifts`(shape: ModelShape) throws {
        let layout = try shape.layout
        let inside = (0..<shape.depth).flatMap { block in
            ["ln1", "ln2"].flatMap { ["blocks.\(block).\($0).weight", "blocks.\(block).\($0).bias"] }
        }
        #expect(
            layout.vectors.map(\.name)
                == ["cls_token", "ln_pre.weight", "ln_pre.bias"] + inside + ["ln_post.weight", "ln_post.bias"])
        #expect(layout.vectors.allSatisfy { $0.shape == [shape.width] })
    }
}
