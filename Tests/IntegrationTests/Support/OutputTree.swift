import Foundation
import Testing

/// Every file below a directory, for the comparison with another run.
struct OutputTree: Equatable {
    private var files: [String: Data] = [:]

    /// Reads a job's output directory.
    ///
    /// - Throws: what Foundation or the requirement throws when the directory cannot be read.
    init(_ directory: String) throws {
        for path in Self.paths(below: directory) {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(path)"))
            files[path] =
                switch path {
                case "report.json": try Self.withoutRun(data)
                case "report.html": try Self.withoutRun(page: data)
                default: data
                }
        }
    }

    /// The files' paths, sorted.
    var paths: [String] { files.keys.sorted() }

    /// The files that differ, for messages.
    func differences(from other: OutputTree) -> [String] {
        Set(files.keys).union(other.files.keys).filter { files[$0] != other.files[$0] }.sorted()
    }

    /// The report without its part about the run, which may differ.
    private static func withoutRun(_ report: Data) throws -> Data {
        var members = try #require(try JSONSerialization.jsonObject(with: report) as? [String: Any])
        try #require(members.removeValue(forKey: "run") != nil)
        return try JSONSerialization.data(withJSONObject: members, options: [.sortedKeys])
    }

    /// The page without its paragraph and its section about the run.
    private static func withoutRun(page: Data) throws -> Data {
        var text = String(decoding: page, as: UTF8.self)
        for (start, end) in [("<p class=\"run\">", "</p>"), ("<section id=\"run\">", "</section>")] {
            let first = try #require(text.range(of: start))
            let last = try #require(text.range(of: end, range: first.upperBound..<text.endIndex))
            text.removeSubrange(first.lowerBound..<last.upperBound)
        }
        return Data(text.utf8)
    }

    /// The staging directory of a job; `nil` when there is none.
    static func staging(of job: String, in output: String) -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: output)) ?? []
        return names.first { $0.hasPrefix(".kfacd-\(job)-") }.map { "\(output)/\($0)" }
    }

    /// The list of a job's files, with the time and the owner of their publication.
    private static let manifest = ".kfacd-manifest.json"

    /// The files below a directory, including hidden ones and without the list; none without the directory.
    static func paths(below directory: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return names.filter { name in
            guard name != manifest else { return false }
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(directory)/\(name)", isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }.sorted()
    }
}

/// Requires that two runs wrote the same bytes.
///
/// - Throws: what the requirement throws when the bytes differ.
func requireSameBytes(
    _ found: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let (left, right) = (try OutputTree(found), try OutputTree(expected))
    try #require(!right.paths.isEmpty, sourceLocation: sourceLocation)
    try #require(left.differences(from: right) == [], sourceLocation: sourceLocation)
}
