import Foundation
import JobPlan
import TestSupport
import Testing

@testable import Admission

/// The Python function of kfacd-job(5) that computes `sha256_base`.
@Suite(.enabled(if: Python.isInstalled, "needs Python; KFACD_PYTHON names the interpreter"))
struct BaseDigestTests {
    private let input: SmallInput

    init() throws { input = try SmallInput() }

    /// Expects that a base's digest by the page's function is the one that a job accepts and states.
    private func expectAgreement(
        _ base: String, whoseFile name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try PageFunction.digest(of: input.directory.appending(base))
        try input.writeCapture("rows", metadata: ["sha256_base": found])
        let text = input.job().specText.replacing("base.safetensors", with: base)
        let job = Submission(specText: text, specPath: input.directory.appending("job.yaml"), overwrites: false)
        let admitted = try input.admit(job)
        #expect("\(try admitted.inputs.baseDigest())" == found, "\(name)", sourceLocation: sourceLocation)
    }

    private func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: input.directory.appending(name), withIntermediateDirectories: false)
    }

    @Test func `a file, and a directory of one file`() throws {
        try expectAgreement("base.safetensors", whoseFile: "a file")
        try makeDirectory("whole")
        try input.write("whole/model", ["fc.weight": [2, 3]])
        try expectAgreement("whole", whoseFile: "a directory")
    }

    @Test func `a directory of shards, in the order of their names`() throws {
        let names = ["model-00002-of-00002", "model-00001-of-00002"]
        try makeDirectory("shards")
        try input.write("shards/\(names[0])", ["fc.weight": [2, 3]])
        try input.write("shards/\(names[1])", ["other.weight": [2, 2]], firstByte: 9)
        let index = """
            {"metadata": {"total_size": 40}, "weight_map":
             {"fc.weight": "\(names[0]).safetensors", "other.weight": "\(names[1]).safetensors"}}
            """
        try input.directory.write(Array(index.utf8), to: "shards/model.safetensors.index.json")
        try input.write("model", ["fc.weight": [2, 3], "other.weight": [2, 2]], firstByte: 1)
        try expectAgreement("shards", whoseFile: "shards")
    }
}

/// The function as the page has it.
private enum PageFunction {
    static func digest(of base: String) throws -> String {
        let match = try #require(
            try ManualPage.jobFile().firstMatch(of: /\.Bd[^\n]*\n(import hashlib(?:.|\n)*?)\n\.Ed/))
        let result = try Python.run("\(match.output.1)\nimport sys\nprint(sha256_base(sys.argv[1]))", base)
        #expect(result.status == 0, "\(result.output)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
