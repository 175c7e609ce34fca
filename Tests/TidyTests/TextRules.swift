import Foundation

/// What stands in no file of the repository.
enum TextRules {
    /// Marks of work left undone, spelt so that this file does not hold them.
    private static let unfinishedMarks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]

    /// Marks of work left undone: it is done, or it is an issue.
    static func unfinishedWork(in file: TextFile) -> [Violation] {
        file.numberedLines.flatMap { line in
            unfinishedMarks.filter { mark in
                line.text.split { !$0.isLetter && !$0.isNumber }.contains { $0 == mark }
            }.map { file.violation(line.number, "\($0) marks unfinished work; finish it, or write an issue") }
        }
    }

    /// Absolute paths that exist on the machine of whoever wrote them and on no other.
    static func machinePaths(in file: TextFile) -> [Violation] {
        let folders = ["work", "root", "opt/swift"]
        return file.numberedLines.flatMap { line in
            folders.compactMap { folder -> Violation? in
                guard containsAbsolute("/" + folder, in: line.text) else { return nil }
                return file.violation(line.number, "/\(folder) is a path of one machine")
            }
        }
    }

    /// Whether the path stands in the text, not as the end or the beginning of another name.
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
