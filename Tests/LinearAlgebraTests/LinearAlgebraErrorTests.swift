import LinearAlgebra
import Testing

struct LinearAlgebraErrorTests {
    private func message(_ body: () throws -> Void) -> String? {
        #expect(throws: LinearAlgebraError.self) { try body() }?.description
    }

    @Test func `a shape beyond 64 bits is refused before any allocation`() {
        let expected =
            "a matrix of 4611686018427387904 × 4 elements cannot be addressed; expected sides of at least 0 "
            + "and fewer than 2^63 bytes in total."
        #expect(message { _ = try Matrix<Float>(rows: 1 << 62, columns: 4) } == expected)
        let negative =
            "a matrix of -1 × 4 elements cannot be addressed; expected sides of at least 0 and fewer than "
            + "2^63 bytes in total."
        #expect(message { _ = try Matrix<Float>(rows: -1, columns: 4) } == negative)
    }

    @Test func `memory that the system refuses is an error`() {
        let expected =
            "no memory for a buffer of 1152921504606846976 bytes. Give the worker more memory or fewer "
            + "lanes."
        #expect(message { _ = try Matrix<Float>(rows: 1 << 29, columns: 1 << 29) } == expected)
    }

    @Test func `a list of another length is refused`() {
        #expect(
            message { _ = try Matrix<Float>(rows: 2, columns: 2, elements: [1]) }
                == "the element list: 1 elements; expected 4."
        )
        #expect(
            message { _ = try PackedSymmetricMatrix<Double>(dimension: 2, elements: [1]) }
                == "the packed triangle: 1 elements; expected 3."
        )
    }

    @Test func `every other case is a whole sentence`() {
        let cases: [(LinearAlgebraError, String)] = [
            (
                .dimensionExceedsBLAS(dimension: 3_000_000_000),
                "a side of 3000000000 does not fit this BLAS; expected at most 2147483647."
            ),
            (
                .byteCountMismatch(elementType: .bf16, expected: 8, found: 6),
                "a range of BF16 elements holds 6 bytes; expected 8."
            ),
            (.nonFinite(row: 7), "row 7 holds NaN or infinity; expected finite values."),
            (
                .squareOverflow(row: 7, column: 2),
                "the squares of column 2 overflow fp32 (largest magnitude in row 7); expected magnitudes whose sum of "
                    + "squares over one chunk stays below 3.4e38. Scale the rows down."
            ),
            (
                .notPositiveDefinite(minor: 4),
                "the leading minor of order 4 is not positive; expected a positive definite matrix. Damp it."
            ),
            (.lapackFailed(routine: "dsyevd", info: -8), "dsyevd failed with INFO = -8."),
            (
                .notConverged(routine: "dgesdd", info: 3),
                "dgesdd reached its bound of iterations (INFO = 3); expected it to converge for every finite matrix. "
                    + "Set OPENBLAS_CORETYPE to another kernel set, or replace libopenblas."
            ),
            (.cancelled, "the observer ended the computation; nothing was computed."),
            (
                .selfTestFailed(routine: "sgemm", kernels: "Haswell", expected: 1, found: 2),
                "sgemm of the installed BLAS (Haswell kernels) gave 2.0; expected 1.0. Set OPENBLAS_CORETYPE to another "
                    + "kernel set, or replace libopenblas."
            ),
        ]
        for (error, sentence) in cases { #expect(error.description == sentence) }
    }

    @Test func `the installed BLAS passes its self test`() throws {
        try BLASEnvironment.selfTest()
        #expect(!BLASEnvironment.kernels.isEmpty)
        #expect(BLASEnvironment.configuration.contains("OpenBLAS"))
        #expect(BLASEnvironment.threadCount >= 1)
    }
}
