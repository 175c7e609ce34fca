/// The limits of sizes.
enum SizeRules {
    static let linesOfFunctionMax = 70
    static let linesOfFileMax = 450
    static let columnsMax = 120

    static func longFunctions(in source: SwiftSource) -> [Violation] {
        source.declarations.compactMap { declaration in
            guard let lastLine = declaration.lastLine else { return nil }
            let count = lastLine - declaration.line + 1
            guard count > linesOfFunctionMax else { return nil }
            return source.violation(
                declaration.line,
                "\(declaration.name) has \(count) lines; at most \(linesOfFunctionMax)"
            )
        }
    }

    static func longFile(_ source: SwiftSource) -> [Violation] {
        let count = source.lines.count
        return count > linesOfFileMax ? [source.violation(count, "\(count) lines; at most \(linesOfFileMax)")] : []
    }

    /// Lines that are too wide.
    ///
    /// A line of Swift that ends in a string may be longer: people search for messages, so each stays in one piece.
    static func longLines(in source: SwiftSource) -> [Violation] {
        longLines(in: TextFile(path: source.path, text: source.lines.joined(separator: "\n"))).filter { violation in
            let words = source.tokens.filter { $0.line == violation.line && $0.kind != .symbol }
            let hasComment = source.comments.contains { $0.line == violation.line }
            return hasComment || words.last.map { $0.kind != .string } ?? false
        }
    }

    static func longLines(in file: TextFile) -> [Violation] {
        file.numberedLines.filter { $0.text.count > columnsMax }.map {
            file.violation($0.number, "\($0.text.count) columns; at most \(columnsMax)")
        }
    }
}
