import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Factor files with compressed matrices.
struct CompressedFactorsTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    private let factorA = CurvatureTensorName(owner: "fc", side: .input)
    private let factorB = CurvatureTensorName(owner: "fc", side: .gradient)

    private static let forms: [CompressedForm] = [.bf16, .int8, .blockDiagonal(blocks: 2), .lowRank(rank: 1)]

    /// 4 on the diagonal and ±1 elsewhere: exact in bf16, and diagonally dominant.
    private func matrix() throws -> PackedSymmetricMatrix<Float> {
        try PackedSymmetricMatrix(dimension: 4, elements: [4, 1, 4, -1, 1, 4, 1, -1, 1, 4])
    }

    /// Writes A compressed and B, a diagonal, as it is.
    private func write(_ form: CompressedForm, shift: Double = 0) throws -> CompressedSymmetricMatrix {
        let compressed = try CompressedSymmetricMatrix(compressing: try matrix(), as: form)
        var loss = try CompressionLoss(of: try compressed.decoded(), from: try matrix(), repairs: false)
        loss.shift = shift
        var metadata = FactorsMetadata(task: "t", sampleCounts: .all(3), normalization: "tak").strings
        metadata["compression"] =
            [factorA.name: FactorCompression(form: form, dimension: 4, loss: loss)].metadataText
        let writer = try CurvatureWriter(
            directory: path, kind: .factors,
            entries: [.init(factorA, shape: .full(4), form: form), .init(factorB, shape: .diagonal(2), form: form)],
            metadata: metadata)
        try writer.write(compressed: compressed.bytes.span.bytes, to: factorA)
        try writer.write(PackedSymmetricMatrix<Float>(shape: .diagonal(2), elements: [5, 6]), to: factorB)
        try writer.finish()
        return compressed
    }

    @Test(arguments: forms) func `each form is read back, beside a diagonal as it is`(form: CompressedForm) throws {
        let compressed = try write(form)
        let set = try CurvatureSet(opening: path, as: .factors)
        let entry = try #require(set[factorA])
        #expect(entry.shape == .full(4))
        #expect(entry.fileRange.count == form.byteCount(dimension: 4))
        #expect(entry.compression?.compression == Compression(form: form))
        #expect(try set.readDouble(factorA).elements == (try compressed.decoded()).elements)
        #expect(try set.readFloat(factorA).elements == (try compressed.decoded()).elements.map { Float($0) })
        #expect(set[factorB]?.compression == nil)
        #expect(try set.readFloat(factorB).elements == [5, 6])
    }

    @Test func `a shift is added to the diagonal, and the numbers of the loss are kept`() throws {
        _ = try write(.blockDiagonal(blocks: 4), shift: 0.5)
        let set = try CurvatureSet(opening: path, as: .factors)
        let elements = try set.readDouble(factorA).elements
        #expect(elements == [4.5, 0, 4.5, 0, 0, 4.5, 0, 0, 0, 4.5])
        // The off-diagonal elements are lost: 12 of 12 + 4 · 16.
        let stated = try #require(set[factorA]?.compression)
        expectClose(stated.relativeError, (12.0 / 76).squareRoot(), absolute: 1e-12)
        expectClose(stated.smallestEigenvalue, 4, absolute: 1e-12)
        expectClose(stated.meanEigenvalue, 4, absolute: 1e-12)
    }

    // MARK: - Damage

    private static let statement = """
        {"l.A":{"form":"int8","dimension":2,"relative_error":0,"smallest_eigenvalue":0,"mean_eigenvalue":1,"shift":0}}
        """

    private func message(_ tensors: [TestTensor], _ statement: String) throws -> String? {
        let path = try directory.write("f.safetensors", ["compression": statement], tensors)
        return errorMessage { () throws(JobFileError) in
            let set = try CurvatureSet(opening: path, as: .factors)
            _ = try set.readFloat(CurvatureTensorName(owner: "l", side: .input))
        }?.replacing("\(directory.path)/", with: "")
    }

    private let partner = TestTensor("l.B", [1, 1]) { _ in 1 }

    @Test func `a tensor of another type is refused`() throws {
        #expect(
            try message([TestTensor("l.A", [7]), partner], Self.statement)
                == "f.safetensors: tensor \"l.A\" holds F32; expected U8, since \"compression\" states the form int8 and "
                + "the dimension 2. Write the file again.")
    }

    @Test func `a tensor of another size is refused`() throws {
        // Two rows of one group each, and three elements.
        #expect(
            try message([TestTensor("l.A", [12], zeros: .uint8), partner], Self.statement)
                == "f.safetensors: tensor \"l.A\" has the shape [12]; expected [11], since \"compression\" states the form "
                + "int8 and the dimension 2. Write the file again.")
    }

    @Test func `a compressed tensor without its statement is refused`() throws {
        #expect(
            try message([TestTensor("l.A", [11], zeros: .uint8), partner], "{}")
                == "f.safetensors: tensor \"l.A\" holds U8; expected F32 or F64. Write the file again.")
    }

    @Test(arguments: [
        ("int8", "zip"), ("2", "-2"), ("\"shift\":0", "\"shift\":-1"), ("\"dimension\":2,", ""), ("int8", "low_rank"),
    ])
    func `a statement that is none is refused`(found: String, other: String) throws {
        let text = Self.statement.replacing(found, with: other)
        let told = try message([TestTensor("l.A", [11], zeros: .uint8), partner], text)
        #expect(told?.hasPrefix("f.safetensors: metadata \"compression\" is \"") == true)
        #expect(told?.contains("expected an object of {\"form\", \"dimension\", \"relative_error\"") == true)
    }

    @Test func `damaged scales and elements are refused as those of exact factors are`() throws {
        func stated(_ form: String, _ tensor: TestTensor) throws -> String? {
            try message([tensor, partner], Self.statement.replacing("\"int8\"", with: form))
        }
        let infinite = TestTensor("l.A", [3], bfloat16: { $0 == 1 ? .infinity : 1 })
        #expect(
            try stated("\"bf16\"", infinite)
                == "f.safetensors: tensor \"l.A\": row 1 holds NaN or infinity, first in column 0; expected finite values. "
                + "Compute the factor again.")
        // w = (1, 1) and d = (1, −3).
        let negative = TestTensor("l.A", [1, 4]) { [1, 1, 1, -3][$0] }
        #expect(
            try stated("\"low_rank\",\"rank\":1", negative)
                == "f.safetensors: tensor \"l.A\": the diagonal element of row 1 is -2.0; expected a sum of squares, which is "
                + "never negative. Compute the factor again.")
        // [[1, 2], [2, 1]].
        let indefinite = TestTensor("l.A", [3], bfloat16: { [1, 2, 1][$0] })
        #expect(try stated("\"bf16\"", indefinite)?.contains("has an eigenvalue below") == true)
    }
}
