import Laboratory
import SystemPackage
import TestSupport
import Testing

struct CurvatureReportTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func path(_ text: String) throws -> FilePath {
        FilePath(try directory.write(Array(text.utf8), to: "report.json"))
    }

    @Test func `the interference matrix and the errors are read`() throws {
        let report = try CurvatureReport(
            reading: path(
                """
                {"format": "kfacd.report/1",
                 "layers": [
                   {"name": "fc", "accumulation_error": {"a": 0.5, "all": 0.25}, "optimal_error": {"a": 0.125}},
                   {"name": "ln.weight", "factors": []}],
                 "interference": {
                   "task_vectors": ["a", "b"], "tasks": ["a", "c"],
                   "matrix": [[2.0, 1.5], [1e-3, null]], "normalized": [[1.0, null], [5e-4, null]]}}
                """))
        let matrix = try #require(report.interference)
        #expect(matrix.vectors == ["a", "b"])
        #expect(matrix.tasks == ["a", "c"])
        #expect(matrix.raw[0] == [2, 1.5])
        #expect(matrix.raw[1][0] == 1e-3)
        #expect(matrix.raw[1][1].isNaN)
        #expect(matrix.normalized == [[1, nil], [5e-4, nil]])
        #expect(report.accumulationErrors == ["fc": ["a": 0.5, "all": 0.25]])
        #expect(report.optimalErrors == ["fc": ["a": 0.125]])
    }

    @Test func `a job without task vectors has no matrix`() throws {
        let report = try CurvatureReport(
            reading: path(#"{"format": "kfacd.report/1", "layers": [], "interference": null}"#))
        #expect(report.interference == nil)
        #expect(report.accumulationErrors.isEmpty)
    }

    private func refusal(_ path: FilePath) -> String {
        message { () throws(LaboratoryError) in _ = try CurvatureReport(reading: path) }
    }

    @Test func `another format is refused`() throws {
        let path = try path(#"{"format": "kfacd.report/3"}"#)
        #expect(
            refusal(path)
                == "\(path): is of the format \"kfacd.report/3\", which a later version of kfacd wrote; this one reads "
                + "\"kfacd.report/2\". Use the version that wrote it, or a later one.")
    }

    @Test func `a matrix of another shape is refused`() throws {
        let path = try path(
            """
            {"format": "kfacd.report/1", "interference": {"task_vectors": ["a"], "tasks": ["a", "b"],
             "matrix": [[1]], "normalized": [[1, 2]]}}
            """)
        #expect(refusal(path) == "\(path): \"interference\" is no matrix of task vectors and tasks.")
    }

    @Test func `a missing file is named`() {
        #expect(
            refusal("/nowhere/report.json")
                == "/nowhere/report.json: open failed: there is no such file or directory. Correct the path."
        )
    }
}
