import Testing

@testable import LinearAlgebra

struct EigenWorkspaceTests {
    /// LAPACK's own query for n = 2895 gives 16 779 420 in fp32.
    ///
    /// It is one too few, and the call then fails with INFO = −8.
    @Test func `the length at 2895 is exact, where LAPACK's fp32 answer is one short`() throws {
        let workspace = try EigenWorkspace(routine: "ssyevd", dimension: 2895)
        #expect(workspace.realCount == 16_779_421)
        #expect(workspace.integerCount == 14_478)
        #expect(Int(Float(workspace.realCount)) < Int(workspace.realCount))
    }

    @Test func `32766 is the last dimension whose workspace fits`() throws {
        #expect(try EigenWorkspace(routine: "dsyevd", dimension: 32_766).realCount == 2_147_418_109)
        let error = #expect(throws: LinearAlgebraError.self) {
            try EigenWorkspace(routine: "dsyevd", dimension: 32_767)
        }
        #expect(
            error?.description == "dsyevd of dimension 32767 needs a workspace of 2147549181 elements; this LAPACK "
                + "takes at most 2147483647."
        )
    }
}
