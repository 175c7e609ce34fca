/// Rules against meaningless words in the names of types and files.
enum NamingRules {
    static let emptyWords: Set<String> = [
        "Manager", "Helper", "Helpers", "Util", "Utils", "Utilities", "Common", "Impl",
    ]

    static func emptyNames(in source: SwiftSource) -> [Violation] {
        let kinds: Set<String> = ["struct", "class", "enum", "protocol", "actor", "typealias"]
        let types = source.tokens.indices.dropLast().filter { index in
            source.tokens[index].kind == .word && kinds.contains(source.tokens[index].text)
                && source.tokens[index + 1].kind == .word
        }.map { source.tokens[$0 + 1] }
        let fileName = emptyWord(in: source.baseName).map {
            source.violation(1, "the file's name holds the empty word \($0)")
        }
        let typeNames = types.map { type in
            emptyWord(in: type.text).map { source.violation(type.line, "\(type.text) holds the empty word \($0)") }
        }
        return (typeNames + [fileName]).compactMap(\.self)
    }

    /// The first meaningless word of a name; `FileManager` has two words.
    private static func emptyWord(in name: String) -> String? {
        var words = [""]
        for character in name {
            if character.isUppercase || !character.isLetter { words.append("") }
            words[words.count - 1].append(character)
        }
        return words.first(where: emptyWords.contains)
    }
}
