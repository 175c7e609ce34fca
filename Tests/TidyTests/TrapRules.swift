/// Rules for code that turns off the compiler's checks or may end the process: a sentence must say why it is right.
enum TrapRules {
    private static let traps: Set<String> = ["precondition", "preconditionFailure", "fatalError", "assertionFailure"]

    /// Traps without a message, and `try!` without a comment.
    static func silentTraps(in source: SwiftSource) -> [Violation] {
        let tokens = source.tokens
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            guard token.kind == .word, source.commentsAround(token.line).isEmpty else { return nil }
            if traps.contains(token.text), source.token(index - 1)?.isSymbol(".") != true,
                let end = source.closing(index + 1), !tokens[index...end].contains(where: { $0.kind == .string })
            {
                return source.violation(token.line, "\(token.text) has no message")
            }
            if token.text == "try", source.token(index + 1)?.isSymbol("!") == true {
                return source.violation(token.line, "try! has no comment that says why it cannot fail")
            }
            return nil
        }
    }

    /// `@unchecked Sendable` and `nonisolated(unsafe)` without a nearby comment that says why they are safe.
    static func unexplainedSendability(in source: SwiftSource) -> [Violation] {
        source.tokens.indices.compactMap { index in
            let isUnchecked = source.tokens[index].isWord("unchecked") && source.token(index - 1)?.isSymbol("@") == true
            let isUnsafe =
                source.tokens[index].isWord("nonisolated") && source.token(index + 2)?.isWord("unsafe") == true
            guard isUnchecked || isUnsafe else { return nil }
            let line = source.tokens[index].line
            // Documentation says what a type is. Only documentation about sharing says why it is safe.
            let isExplained = source.commentsAround(line).contains { comment in
                !comment.isDocumentation || comment.text.contains("Sendable") || comment.text.contains("Safe to")
            }
            guard !isExplained else { return nil }
            let name = isUnchecked ? "@unchecked Sendable" : "nonisolated(unsafe)"
            return source.violation(line, "\(name) has no comment that says why it is safe")
        }
    }
}
