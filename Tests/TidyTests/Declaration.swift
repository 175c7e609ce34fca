/// A function, initialiser, deinitialiser, subscript or computed property.
struct Declaration {
    let keyword: String
    let name: String
    /// The line of the first attribute or modifier.
    let firstLine: Int
    /// The line of the keyword.
    let line: Int
    /// The line of the body's closing brace; nil for a requirement without a body.
    let lastLine: Int?
    let modifiers: Set<String>
    /// Whether a call can throw; `rethrows` does not count.
    let isThrowing: Bool
}

extension SwiftSource {
    /// Every function and computed property, including nested ones.
    var declarations: [Declaration] {
        tokens.indices.compactMap { index in
            guard tokens[index].kind == .word, token(index - 1)?.isSymbol(".") != true else { return nil }
            switch tokens[index].text {
            case "func", "init", "deinit", "subscript": return function(at: index)
            case "var": return computedProperty(at: index)
            default: return nil
            }
        }
    }

    private func function(at index: Int) -> Declaration? {
        var position = index + 1
        if tokens[index].text == "func" {
            position += 1
            while let next = token(position), !next.isSymbol("(") { position += 1 }
        } else {
            if token(position)?.isSymbol("?") == true || token(position)?.isSymbol("!") == true { position += 1 }
            if token(position)?.isSymbol("<") == true {
                while let next = token(position), !next.isSymbol("(") { position += 1 }
            }
        }
        if tokens[index].text != "deinit" {
            // `init` and `subscript` have another meaning when no parameters follow.
            guard token(position)?.isSymbol("(") == true, let end = closing(position) else { return nil }
            position = end + 1
        }
        let signature = signatureEnd(from: position)
        let effects = tokens[position..<signature.end].prefix { !$0.isSymbol("-") && !$0.isWord("where") }
        let name = tokens[index].text == "func" ? token(index + 1)?.text ?? "" : tokens[index].text
        return declaration(
            at: index,
            name: name,
            body: signature.body,
            isThrowing: effects.contains { $0.isWord("throws") }
        )
    }

    private func computedProperty(at index: Int) -> Declaration? {
        guard let name = token(index + 1), name.kind == .word, token(index + 2)?.isSymbol(":") == true else {
            return nil
        }
        var position = index + 3
        while let next = token(position), !next.isSymbol("{") {
            if next.isSymbol("=") || next.isFirstOnLine { return nil }
            position = closing(position) ?? position
            position += 1
        }
        guard let end = closing(position) else { return nil }
        let accessor = tokens[position...end].firstIndex { $0.isWord("get") }
        let isThrowing = accessor.map { accessor in
            tokens[accessor...end].prefix { !$0.isSymbol("{") && !$0.isSymbol("}") }.contains { $0.isWord("throws") }
        }
        return declaration(at: index, name: name.text, body: position, isThrowing: isThrowing ?? false)
    }

    private func declaration(at index: Int, name: String, body: Int?, isThrowing: Bool) -> Declaration {
        let (start, modifiers) = modifiers(before: index)
        return Declaration(
            keyword: tokens[index].text,
            name: name,
            firstLine: tokens[start].line,
            line: tokens[index].line,
            lastLine: body.flatMap(closing).map { tokens[$0].line },
            modifiers: modifiers,
            isThrowing: isThrowing
        )
    }

    /// The end of a signature, and the beginning of its body if it has one.
    private func signatureEnd(from start: Int) -> (end: Int, body: Int?) {
        var position = start
        while let next = token(position) {
            if next.isSymbol("{") { return (position, position) }
            let startsAnother = next.isFirstOnLine && (next.isSymbol("@") || Self.declarationWords.contains(next.text))
            if next.isSymbol("}") || startsAnother { return (position, nil) }
            position = closing(position) ?? position
            position += 1
        }
        return (min(position, tokens.count), nil)
    }

    /// The modifiers before a keyword, and the index of the first token of the modifiers and attributes.
    func modifiers(before index: Int) -> (start: Int, modifiers: Set<String>) {
        var (start, modifiers) = (index, Set<String>())
        while let previous = token(start - 1) {
            if previous.kind == .word, Self.modifierWords.contains(previous.text) {
                modifiers.insert(previous.text)
                start -= 1
            } else if previous.kind == .word, token(start - 2)?.isSymbol("@") == true {
                start -= 2
            } else if previous.isSymbol(")"), let open = opening(start - 1), let owner = token(open - 1),
                Self.modifierWords.contains(owner.text) || token(open - 2)?.isSymbol("@") == true
            {
                start = open
            } else {
                break
            }
        }
        return (start, modifiers)
    }

    private func opening(_ index: Int) -> Int? {
        stride(from: index, through: 0, by: -1).first { tokens[$0].isSymbol("(") && closing($0) == index }
    }

    private static let modifierWords: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "open", "static", "class", "final", "override",
        "mutating", "nonmutating", "borrowing", "consuming", "convenience", "required", "nonisolated", "isolated",
        "prefix", "postfix", "infix", "indirect", "lazy", "weak", "unowned", "dynamic",
    ]

    private static let declarationWords: Set<String> = modifierWords.union([
        "func", "init", "deinit", "subscript", "var", "let", "case", "struct", "enum", "protocol", "extension",
        "actor", "associatedtype", "typealias", "import",
    ])
}
