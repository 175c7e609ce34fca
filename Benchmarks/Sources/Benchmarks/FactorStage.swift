import CPlainBLAS
import KroneckerFactors
import LinearAlgebra
import Safetensors
import SystemPackage

/// Measures a packed factor from rows of a warm safetensors capture, beside plain `ssyrk` on rows in memory.
struct FactorStage {
    private static let chunkRows = 4096
    private static let rounds = 7
    let directory: WorkDirectory
    let captures: [(columns: Int, rows: Int, appendsOne: Bool)]

    func measure() throws {
        print("\nfactor stage, one thread: safetensors capture → factor, against plain ssyrk; useful GF/s = d²·rows/s")
        print("least times; median of the rounds' ratios")
        for (columns, rows, appendsOne) in captures {
            try measure(columns, rows, appendsOne: appendsOne)
        }
    }

    private func measure(_ columns: Int, _ rows: Int, appendsOne: Bool) throws {
        let path = directory.file("rows-\(columns).safetensors")
        let tensor = TensorDescription(name: "layer.input", dataType: .float32, shape: [rows, columns])
        let writer = try SafetensorsWriter(path: FilePath(path), tensors: [tensor], metadata: [:])
        try RandomNumbers().forEachPiece(byteCount: rows * columns * 4, seed: 1) { bytes, offset throws in
            try writer.write(bytes, to: tensor.name, at: offset)
        }
        try writer.finish()
        let file = try SafetensorsFile(opening: FilePath(path))
        var chunk = try Matrix<Float>(rows: Self.chunkRows, columns: columns)
        // The plain routine has the one in its rows, and the rows in the cache as far as they fit.
        let dimension = columns + (appendsOne ? 1 : 0)
        let plainRows = [Float](unsafeUninitializedCapacity: Self.chunkRows * dimension) { elements, count in
            for index in elements.indices { elements.initializeElement(at: index, to: Float(index % 251) / 251 - 0.5) }
            count = elements.count
        }
        var product = [Float](repeating: 0, count: dimension * dimension)
        func plain() {
            for _ in stride(from: 0, to: rows, by: Self.chunkRows) {
                plainRows.withUnsafeBufferPointer { source in
                    product.withUnsafeMutableBufferPointer { target in
                        cblas_ssyrk(
                            101, 122, 112, Int32(dimension), Int32(Self.chunkRows), 1, source.baseAddress,
                            Int32(dimension), 0, target.baseAddress, Int32(dimension))
                    }
                }
            }
        }
        func ours(_ workspace: inout FactorWorkspace<Float>) throws {
            var sum = try FactorAccumulation(columnCount: columns, appendsOne: appendsOne)
            for first in stride(from: 0, to: rows, by: Self.chunkRows) {
                try chunk.withMutableBytes { bytes throws in
                    try file.read("layer.input", at: first * columns * 4, into: &bytes)
                }
                try sum.add(rows: 0..<Self.chunkRows, of: chunk, workspace: &workspace)
            }
            _ = try sum.finish(divisor: Double(rows))
        }
        let work = Double(dimension) * Double(dimension) * Double(rows) / 1e9
        var workspace = try FactorWorkspace(.blas)
        for arithmetic in [ProductArithmetic.blas, .fusedMultiplyAdd] where arithmetic.isSupported {
            workspace = try FactorWorkspace(arithmetic)
            try ours(&workspace)
            let times = try (0..<Self.rounds).map { _ in
                (plain: seconds(plain), ours: try seconds { try ours(&workspace) })
            }
            let ratios = times.map { $0.plain / $0.ours }.sorted()
            let best = (plain: times.map(\.plain).min() ?? 0, ours: times.map(\.ours).min() ?? 0)
            print(
                "  d = \(dimension)\(appendsOne ? " with the one" : ""), \(arithmetic): "
                    + "plain \(fixed(work / best.plain, 0)) GF/s, ours \(fixed(work / best.ours, 0)) GF/s, "
                    + "ratio \(fixed(ratios[ratios.count / 2]))")
        }
    }
}
