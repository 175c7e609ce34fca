import Foundation
import TestSupport
import Testing

extension SmallModel {
    /// Expects that `kfacctl run` refuses the job with exit code 2, names the fault, and leaves no file behind.
    ///
    /// - Parameters:
    ///   - parts: What standard error must contain.
    ///   - options: Options of `kfacctl run`.
    ///   - sourceLocation: The location for a failure's report.
    /// - Throws: ``WaitError`` when the command does not end, or what Foundation throws.
    func expectRefusal(
        _ parts: String..., options: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let before = OutputTree.paths(below: directory.path)
        let hadOutput = FileManager.default.fileExists(atPath: outputPath)
        let arguments = ["run", jobPath, "--workers", "1", "--state-directory", directory.path]
        let result = try await Client.run(arguments + options, in: directory)
        #expect(result.exitCode == 2, "\(result.errors)", sourceLocation: sourceLocation)
        for part in parts {
            #expect(
                result.errors.contains(part), "expected “\(part)” in: \(result.errors)", sourceLocation: sourceLocation)
        }
        let added = Set(OutputTree.paths(below: directory.path)).subtracting(before)
        #expect(added.isEmpty, sourceLocation: sourceLocation)
        #expect(FileManager.default.fileExists(atPath: outputPath) == hadOutput, sourceLocation: sourceLocation)
    }
}
