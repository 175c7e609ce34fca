import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing

@testable import UnitOperations

struct UnitKeyTests {
    private static let files = [file("/a"), file("/b")]

    private static func file(
        _ path: String, modified: Int64 = 1, bytes: UInt64 = 100, header: UInt8 = 1, role: String = "capture"
    ) -> InputFile {
        InputFile(
            path: path, byteCount: bytes, modificationTime: modified, headerDigest: OperationExample.digest(header),
            role: role)
    }

    private static func factor(file: Int = 0) -> FactorOperation {
        FactorOperation(
            columns: 3, appendsOnes: true, elementType: .f32,
            rowSlices: [RowSlice(slice: FileSlice(file: file, offset: 8, byteCount: 48), rows: 4)], chunkRows: 4,
            reduction: .none, divisor: 4)
    }

    private static func sums(_ blobs: [UInt8], _ numbers: [[Double]] = []) -> UnitKey {
        UnitKey(
            of: AccumulateOperation(side: .input, shape: .full(4), weights: [1, 2], exclusions: [nil], scale: .paper),
            inputs: UnitInputs(
                blobs: blobs.map { BlobReference(digest: OperationExample.digest($0), byteCount: 40) },
                numbers: numbers),
            files: [])
    }

    private static func key(_ operation: FactorOperation = factor(), _ files: [InputFile] = files) -> UnitKey {
        UnitKey(of: operation, inputs: UnitInputs(), files: files)
    }

    @Test func `the same operation on the same inputs has the same key`() {
        #expect(Self.key() == Self.key())
        // The file's position in the job, its role and the job's other files do not matter.
        #expect(
            Self.key(Self.factor(file: 1), [Self.files[1], Self.file("/a", role: "base")])
                == Self.key(Self.factor(), [Self.files[0]]))
        #expect(Self.sums([1, 2], [[1]]) == Self.sums([1, 2], [[1]]))
    }

    @Test func `whatever is read changes the key`() {
        let keys = [
            Self.key(), Self.key(Self.factor(file: 1)), Self.key(Self.factor(), [Self.file("/a", modified: 2)]),
            Self.key(Self.factor(), [Self.file("/a", bytes: 101)]),
            Self.key(Self.factor(), [Self.file("/a", header: 2)]), Self.sums([1, 2]), Self.sums([2, 1]),
            Self.sums([1]), Self.sums([1, 1]), Self.sums([1, 2], [[]]), Self.sums([1, 2], [[1]]),
            Self.sums([1, 2], [[1], [2]]), Self.sums([1, 2], [[1, 2]]), Self.sums([1, 2], [[-0.0]]),
            Self.sums([1, 2], [[0.0]]),
        ]
        #expect(Set(keys).count == keys.count)
    }

    @Test func `a result's key names what was computed and in which regime`() {
        let regimes = [("a", "fp32"), ("b", "fp32"), ("a", "bf16")].map { NumericRegime(kernels: $0, elements: $1) }
        let keys = regimes.flatMap { [ResultKey(Self.sums([1, 2]), in: $0), ResultKey(Self.sums([2, 1]), in: $0)] }
        #expect(Set(keys).count == keys.count)
        #expect(regimes.sorted().map(\.description) == ["a, bf16", "a, fp32", "b, fp32"])
    }
}
