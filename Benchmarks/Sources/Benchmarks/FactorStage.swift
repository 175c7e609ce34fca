import CPlainBLAS
import KroneckerFactors
import LinearAlgebra
import Safetensors
import SystemPackage

/// Measures a packed factor from rows of a warm safetensors capture, beside plain `ssyrk` on rows in memory.
struct FactorStage {
    private static let chunkRows = 4096
    let directory: WorkDirectory
    let captures: [(dimension: Int, rows: Int)]

    func measure() throws {
        print("\nfactor stage, one thread: safetensors capture → factor, against plain ssyrk; useful GF/s = d²·rows/s")
        for (dimension, rows) in captures {
            try measure(dimension, rows)
        }
    }

    private func measure(_ dimension: Int, _ rows: Int) throws {
        let path = directory.file("rows-\(dimension).safetensors")
        let tensor = TensorDescription(name: "layer.input", dataType: .float32, shape: [rows, dimension])
        let writer = try SafetensorsWriter(path: FilePath(path), tensors: [tensor], metadata: [:])
        try RandomNumbers().forEachPiece(byteCount: rows * dimension * 4, seed: 1) { bytes, offset throws in
            try writer.write(bytes, to: tensor.name, at: offset)
        }
        try writer.finish()
        let file = try SafetensorsFile(opening: FilePath(path))
        var chunk = try Matrix<Float>(rows: Self.chunkRows, columns: dimension)
        var workspace = try FactorWorkspace()
        var product = [Float](repeating: 0, count: dimension * dimension)
        let (plain, ours) = try least(3) {
            for _ in stride(from: 0, to: rows, by: Self.chunkRows) {
                chunk.withSpan { chunk in
                    chunk.withUnsafeBufferPointer { source in
                        product.withUnsafeMutableBufferPointer { target in
                            cblas_ssyrk(
                                101, 122, 112, Int32(dimension), Int32(Self.chunkRows), 1, source.baseAddress,
                                Int32(dimension), 0, target.baseAddress, Int32(dimension))
                        }
                    }
                }
            }
        } _: {
            var sum = try FactorAccumulation(columnCount: dimension)
            for first in stride(from: 0, to: rows, by: Self.chunkRows) {
                try chunk.withMutableBytes { bytes throws in
                    try file.read("layer.input", at: first * dimension * 4, into: &bytes)
                }
                try sum.add(rows: 0..<Self.chunkRows, of: chunk, workspace: &workspace)
            }
            _ = try sum.finish(divisor: Double(rows))
        }
        let work = Double(dimension) * Double(dimension) * Double(rows) / 1e9
        print(
            "  d = \(dimension): plain \(fixed(work / plain, 0)) GF/s, ours \(fixed(work / ours, 0)) GF/s, "
                + "ratio \(fixed(plain / ours))")
    }
}
