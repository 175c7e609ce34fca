import Foundation

/// Text that no file of the repository may hold.
enum TextRules {
    /// Marks of unfinished work, written so that this file does not hold them.
    private static let unfinishedMarks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]

    /// Finds marks of unfinished work; work must be finished, or be an issue.
    static func unfinishedWork(in file: TextFile) -> [Violation] {
        file.numberedLines.flatMap { line in
            unfinishedMarks.filter { mark in
                line.text.split { !$0.isLetter && !$0.isNumber }.contains { $0 == mark }
            }.map { file.violation(line.number, "\($0) marks unfinished work; finish it, or write an issue") }
        }
    }

    /// Finds absolute paths that exist only on the author's machine.
    static func machinePaths(in file: TextFile) -> [Violation] {
        let folders = ["work", "root", "opt/swift"]
        return file.numberedLines.flatMap { line in
            folders.compactMap { folder -> Violation? in
                guard containsAbsolute("/" + folder, in: line.text) else { return nil }
                return file.violation(line.number, "/\(folder) is a path of one machine")
            }
        }
    }

    /// Whether the text holds the path, not as the end or the beginning of another name.
    private static func containsAbsolute(_ path: String, in text: Substring) -> Bool {
        var rest = text
        while let range = rest.range(of: path) {
            let before = rest[..<range.lowerBound].last
            let after = rest[range.upperBound...].first
            let beginsHere = before.map { !$0.isLetter && !$0.isNumber && !"_-.)}~/*>$".contains($0) } ?? true
            let endsHere = after.map { !$0.isLetter && !$0.isNumber && !"_-".contains($0) } ?? true
            if beginsHere && endsHere { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }
}
