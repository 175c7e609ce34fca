import Foundation
import JSONText
import JobReport
import SystemPackage
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The report for people beside the one for programs.
    @Suite struct ReportPageTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.method = "kfac"
            try model.write()
        }

        @Test func `the page shows the report beside it, and has the job file as it was given`() async throws {
            let output = FilePath(try await model.run())
            let json = try Data(contentsOf: URL(fileURLWithPath: output.appending("report.json").string))
            let page = try String(contentsOfFile: output.appending("report.html").string, encoding: .utf8)
            let report = try JSONValue(parsing: Array(json), file: output.appending("report.json"))
            #expect(page == JobReportPage(report: report).html)
            let found = PageReader(page)
            #expect(found.problem == nil)
            #expect(found.all("h1").map(\.text) == ["Merge of \(SmallModel.taskNames.count) models by kfac"])
            #expect(found.all("pre").map(\.text) == [try String(contentsOfFile: model.jobPath, encoding: .utf8)])
            #expect(["interference", "merge", "factors", "run"].allSatisfy(found.sections.contains))
        }

        @Test func `a job without a report has no page`() async throws {
            model.job.outputs = ["merged"]
            try model.write()
            let output = try await model.run()
            #expect(!OutputTree.paths(below: output).contains { $0.hasPrefix("report.") })
        }
    }
}
