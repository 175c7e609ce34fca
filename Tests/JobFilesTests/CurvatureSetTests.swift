import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Factor, regularizer and inverse files.
struct CurvatureSetTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    private let factorA = CurvatureTensorName(owner: "b.fc", side: .input)
    private let factorB = CurvatureTensorName(owner: "b.fc", side: .gradient)
    private let block = CurvatureTensorName(owner: "b.ln.weight", side: .full)

    /// A positive definite matrix whose elements encode their position.
    private func element(_ row: Int, _ column: Int) -> Float {
        row == column ? Float(100_000 + row) : Float((7 * max(row, column) + min(row, column)) % 8)
    }

    private func matrix(_ dimension: Int) throws -> PackedSymmetricMatrix<Float> {
        let elements = (0..<dimension).flatMap { row in (0...row).map { element(row, $0) } }
        return try PackedSymmetricMatrix(dimension: dimension, elements: elements)
    }

    private func write(_ storage: CurvatureStorage, shardByteLimit: Int = .max) throws {
        let metadata = FactorsMetadata(
            task: "t",
            sampleCounts: .each(["b.fc": 7, "b.ln.weight": 8]),
            normalization: "tak",
            hasBias: ["b.fc": true]
        )
        let writer = try CurvatureWriter(
            directory: path,
            kind: .factors,
            entries: [.init(factorA, dimension: 3), .init(factorB, dimension: 2), .init(block, dimension: 1)],
            metadata: metadata.strings,
            storage: storage,
            shardByteLimit: shardByteLimit
        )
        try writer.write(matrix(1), to: block)
        try writer.write(matrix(3), to: factorA)
        try writer.write(matrix(2), to: factorB)
        #expect(try directory.names().allSatisfy { $0.hasPrefix(".") })
        try writer.finish()
    }

    /// The further Kronecker products and the tasks of a per-task regularizer have a prefix.
    @Test(arguments: ["term2/", "greek/"]) func `matrices behind a prefix are matrices of their own`(
        prefix: String
    ) throws {
        let names = ["", prefix].flatMap { prefix in
            [FactorSide.input, .gradient].map { CurvatureTensorName(owner: "\(prefix)b.fc", side: $0) }
        }
        func write(_ names: [CurvatureTensorName]) throws {
            let writer = try CurvatureWriter(
                directory: path, kind: .regularizer, entries: names.map { .init($0, dimension: 2) }, metadata: [:])
            for name in names { try writer.write(matrix(2), to: name) }
            try writer.finish()
        }
        try write(names)
        let set = try CurvatureSet(opening: path, as: .regularizer)
        #expect(set.entries.map(\.name) == names)
        #expect(set.entries.map(\.name.name) == ["b.fc.A", "b.fc.B", "\(prefix)b.fc.A", "\(prefix)b.fc.B"])
        try write(Array(names.dropLast()))
        #expect(
            errorMessage { () throws(JobFileError) in _ = try CurvatureSet(opening: path, as: .regularizer) }?
                .contains("\"\(prefix)b.fc.B\"") == true
        )
    }

    @Test func `the first Kronecker product has no prefix`() {
        #expect((0..<3).map(CurvatureTensorName.prefix(ofTerm:)) == ["", "term2/", "term3/"])
    }

    @Test func `full squares are mirrored on the way out and packed on the way in`() throws {
        try write(.full)
        let file = try SafetensorsFile(opening: path.appending("factors.safetensors"))
        #expect(file.header["b.fc.A"]?.shape == [3, 3])
        let expected: [Float] = [100_000, 7, 6, 7, 100_001, 7, 6, 7, 100_002]
        #expect(try file.bytes(of: "b.fc.A", count: 36) == expected.flatMap { littleEndian($0.bitPattern) })
        let set = try CurvatureSet(opening: path, as: .factors)
        #expect(try set.readFloat(factorA).elements == [100_000, 7, 100_001, 6, 7, 100_002])
        #expect(try set.readDouble(factorB).elements == [100_000, 7, 100_001])
        #expect(set.entries.map(\.dimension) == [3, 2, 1])
        #expect(set[block]?.storage == .full)
        let metadata = try FactorsMetadata(parsing: set.tensors.metadata, file: path)
        #expect(metadata.sampleCounts["b.fc"] == 7)
        #expect(metadata.hasBias == ["b.fc": true])
        #expect(metadata.task == "t")
        #expect(metadata.normalization == "tak")
        #expect(set.tensors.metadata["damping"] == "none")
    }

    @Test func `packed triangles are stored as they are`() throws {
        try write(.packed)
        let set = try CurvatureSet(opening: path.appending("factors.safetensors"), as: .factors)
        #expect(set.tensors.metadata["storage"] == "packed")
        #expect(set.tensors["b.fc.A"]?.tensor.shape == [6])
        #expect(set.entries.map(\.dimension) == [3, 2, 1])
        #expect(try set.readFloat(factorA).elements == [100_000, 7, 100_001, 6, 7, 100_002])
        #expect(try set.readDouble(block).elements == [100_000])
    }

    @Test func `a large set is sharded with an index`() throws {
        try write(.full, shardByteLimit: 40)
        #expect(
            try directory.names() == [
                "factors-00001-of-00002.safetensors", "factors-00002-of-00002.safetensors",
                "factors.safetensors.index.json",
            ]
        )
        let set = try CurvatureSet(opening: path, as: .factors)
        #expect(try set.readFloat(factorB).elements == [100_000, 7, 100_001])
    }

    @Test func `row blocks meet without a seam`() throws {
        // 1 500 rows of 6 000 bytes are more than one block of 8 MiB.
        let dimension = 1500
        let name = CurvatureTensorName(owner: "p", side: .full)
        let writer = try CurvatureWriter(
            directory: path,
            kind: .regularizer,
            entries: [.init(name, dimension: dimension)],
            metadata: [:]
        )
        try writer.write(matrix(dimension), to: name)
        try writer.finish()
        let file = try SafetensorsFile(opening: path.appending("regularizer.safetensors"))
        for (row, column) in [(0, 0), (0, 1499), (1398, 7), (1399, 1499), (1499, 1398), (700, 701)] {
            let expected = element(row, column)
            #expect(
                try file.bytes(of: "p.F", at: 4 * (row * dimension + column), count: 4)
                    == littleEndian(expected.bitPattern)
            )
        }
        let read = try CurvatureSet(opening: path, as: .regularizer).readFloat(name)
        #expect(try read.elements == matrix(dimension).elements)
    }

    @Test func `F64 factors of another program are read`() throws {
        let values: [Double] = [1, 0, 0, 1e-300]
        let bytes = values.flatMap { littleEndian($0.bitPattern) }
        let tensors = ["l.A", "l.B"].map { TensorDescription(name: $0, dataType: .float64, shape: [2, 2]) }
        let file = path.appending("f.safetensors")
        let writer = try SafetensorsWriter(path: file, tensors: tensors, metadata: ["samples": "128"])
        for tensor in tensors { try writer.write(bytes.span.bytes, to: tensor.name) }
        try writer.finish()
        let set = try CurvatureSet(opening: file, as: .factors)
        #expect(try set.readDouble(.init(owner: "l", side: .input)).elements == [1, 0, 1e-300])
        #expect(try set.readFloat(.init(owner: "l", side: .gradient)).elements == [1, 0, 0])
        #expect(try FactorsMetadata(parsing: set.tensors.metadata, file: file).sampleCounts == .all(128))
    }

    @Test func `a missing matrix keeps the set from being finished`() throws {
        let writer = try CurvatureWriter(
            directory: path,
            kind: .inverses,
            entries: [.init(.init(owner: "l", side: .input, isInverse: true), dimension: 2)],
            metadata: [:]
        )
        #expect(
            errorMessage { () throws(JobFileError) in try writer.finish() }
                == "\(path)/inverses.safetensors: tensor \"l.A_inv\" was given 0 bytes; expected 16. "
                + "The file was not published."
        )
    }

    @Test(arguments: ["a", "a.b"])
    func `names are read as they are written`(owner: String) {
        for side in FactorSide.allCases {
            for isInverse in [false, true] {
                let name = CurvatureTensorName(owner: owner, side: side, isInverse: isInverse)
                #expect(CurvatureTensorName(name.name) == name)
            }
        }
        #expect(CurvatureTensorName(".A") == nil)
        #expect(CurvatureTensorName("a.C") == nil)
        #expect(CaptureTensorName(".input") == nil)
        #expect(CaptureTensorName("l.output_grad") == .outputGradient("l"))
        #expect(CaptureTensorName("p.weight.grad") == .parameterGradient("p.weight"))
    }
}
