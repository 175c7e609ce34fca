/// A Swift file in the form that the rules need.
struct SwiftSource {
    /// The path from the repository's root.
    let path: String
    let lines: [Substring]
    let tokens: [Token]
    let comments: [SourceComment]
    private let commentsByLine: [Int: [SourceComment]]

    init(path: String, text: String) {
        self.path = path
        // The last line ends with a newline, and no line follows it.
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        self.lines = lines
        let lexer = Lexer(text)
        tokens = lexer.tokens
        comments = lexer.comments
        commentsByLine = Dictionary(grouping: lexer.comments, by: \.line)
    }

    /// Whether a program wrote the file; its form is then the program's.
    var isGenerated: Bool { comments.prefix(5).contains { $0.text.contains("DO NOT EDIT") } }

    /// The file's name without folder and extension.
    var baseName: String { String((path.split(separator: "/").last ?? "").split(separator: ".").first ?? "") }

    func violation(_ line: Int, _ message: String) -> Violation { Violation(file: path, line: line, message: message) }

    func token(_ index: Int) -> Token? { tokens.indices.contains(index) ? tokens[index] : nil }

    /// The comments on a line, in the lines of comment directly above it, and in those directly below.
    func commentsAround(_ line: Int) -> [SourceComment] {
        commentsAbove(line) + (commentsByLine[line] ?? []) + standingAlone(from: line + 1, step: 1)
    }

    /// The lines of comment directly above a line, from top to bottom.
    func commentsAbove(_ line: Int) -> [SourceComment] { standingAlone(from: line - 1, step: -1).reversed() }

    private func standingAlone(from first: Int, step: Int) -> [SourceComment] {
        var found: [SourceComment] = []
        var line = first
        while let comment = commentsByLine[line]?.first, comment.standsAlone {
            found.append(comment)
            line += step
        }
        return found
    }

    /// The index of the bracket that closes the one at `index`, or nil without one.
    func closing(_ index: Int) -> Int? {
        let pairs = ["(": ")", "[": "]", "{": "}"]
        guard let open = token(index), open.kind == .symbol, let close = pairs[open.text] else { return nil }
        var depth = 0
        for position in index..<tokens.count where tokens[position].kind == .symbol {
            if tokens[position].text == open.text { depth += 1 }
            if tokens[position].text == close { depth -= 1 }
            if depth == 0 { return position }
        }
        return nil
    }
}
