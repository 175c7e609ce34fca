/// Reads the targets of a Package.swift from its tokens.
struct ManifestReader {
    let source: SwiftSource

    private struct Argument {
        let label: String?
        let value: ArraySlice<Token>
    }

    private struct Call {
        let function: String
        let line: Int
        let arguments: [Argument]

        subscript(label: String) -> ArraySlice<Token>? { arguments.first { $0.label == label }?.value }
    }

    func targets() throws -> [PackageManifest.Target] {
        let tokens = source.tokens
        guard let start = tokens.indices.last(where: { tokens[$0].isWord("Package") }) else {
            throw ManifestError(line: 1, message: "there is no call of Package")
        }
        let package = try call(tokens[start...end(ofCallAt: start)])
        guard let list = package["targets"] else { throw error(tokens[start...], "Package has no argument targets") }
        let constants = try productConstants()
        return try elements(of: list).map { try target(call($0), constants: constants) }
    }

    private func target(_ call: Call, constants: [String: String]) throws -> PackageManifest.Target {
        let known = ["module", "tests", "target", "executableTarget", "testTarget", "systemLibrary"]
        guard known.contains(call.function) else {
            throw ManifestError(line: call.line, message: "no target is known that \(call.function) declares")
        }
        let positional = call.arguments.filter { $0.label == nil }.map(\.value)
        guard let name = (call["name"] ?? positional.first).flatMap(string) else {
            throw ManifestError(line: call.line, message: "a target has no name")
        }
        let list = call["dependencies"] ?? positional.dropFirst().first
        var dependencies = try list.map(elements)?.map { try dependency($0, constants: constants) } ?? []
        if call.function == "tests" { dependencies.append("TestSupport") }
        let folder = ["tests", "testTarget"].contains(call.function) ? "Tests" : "Sources"
        return PackageManifest.Target(
            name: name,
            declaredBy: call.function,
            path: call["path"].flatMap(string) ?? "\(folder)/\(name)",
            line: call.line,
            dependencies: dependencies
        )
    }

    private func dependency(_ tokens: ArraySlice<Token>, constants: [String: String]) throws -> String {
        if let name = string(tokens) { return name }
        if tokens.count == 1, let word = tokens.first, word.kind == .word {
            guard let product = constants[word.text] else {
                throw error(tokens, "\(word.text) is not a known constant")
            }
            return product
        }
        let call = try call(tokens)
        guard ["product", "target", "byName"].contains(call.function), let name = call["name"].flatMap(string) else {
            throw error(tokens, "no dependency is known that \(call.function) declares")
        }
        return name
    }

    /// Constants such as `let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")`.
    private func productConstants() throws -> [String: String] {
        let tokens = source.tokens
        var constants: [String: String] = [:]
        for index in tokens.indices.dropLast(7) where tokens[index].isWord("let") {
            guard tokens[index + 2...index + 6].map(\.text) == [":", "Target", ".", "Dependency", "="] else { continue }
            let value = try tokens[index + 7...end(ofCallAt: index + 7)]
            constants[tokens[index + 1].text] = try dependency(value, constants: [:])
        }
        return constants
    }

    // MARK: - Expressions

    private func string(_ tokens: ArraySlice<Token>) -> String? {
        tokens.count == 1 && tokens.first?.kind == .string ? tokens.first?.text : nil
    }

    /// The index of the last token of the call whose name, or the dot before it, is at `index`.
    private func end(ofCallAt index: Int) throws -> Int {
        let open = index + (source.tokens[index].isSymbol(".") ? 2 : 1)
        guard let close = source.closing(open) else { throw error(source.tokens[index...], "a call was expected") }
        return close
    }

    /// Reads `name(arguments)` or `.name(arguments)` with nothing behind it.
    private func call(_ tokens: ArraySlice<Token>) throws -> Call {
        let name = tokens.first?.isSymbol(".") == true ? tokens.dropFirst() : tokens
        guard let function = name.first, function.kind == .word, let open = name.dropFirst().first,
            open.isSymbol("("), source.closing(name.startIndex + 1) == tokens.endIndex - 1
        else { throw error(tokens, "a call was expected") }
        let arguments = try split(name.dropFirst(2).dropLast()).map { argument in
            let isLabelled = argument.dropFirst().first?.isSymbol(":") == true
            return Argument(
                label: isLabelled ? argument.first?.text : nil,
                value: isLabelled ? argument.dropFirst(2) : argument
            )
        }
        return Call(function: function.text, line: function.line, arguments: arguments)
    }

    /// Reads the elements of an array literal with nothing behind it.
    private func elements(of tokens: ArraySlice<Token>) throws -> [ArraySlice<Token>] {
        guard tokens.first?.isSymbol("[") == true, source.closing(tokens.startIndex) == tokens.endIndex - 1 else {
            throw error(tokens, "an array literal was expected")
        }
        return try split(tokens.dropFirst().dropLast())
    }

    /// Splits at commas outside brackets; a trailing comma is allowed.
    private func split(_ tokens: ArraySlice<Token>) throws -> [ArraySlice<Token>] {
        var (parts, start, position) = ([ArraySlice<Token>](), tokens.startIndex, tokens.startIndex)
        while position < tokens.endIndex {
            if tokens[position].isSymbol(",") {
                parts.append(tokens[start..<position])
                start = position + 1
            }
            position = (source.closing(position) ?? position) + 1
        }
        if start < tokens.endIndex { parts.append(tokens[start...]) }
        return parts
    }

    private func error(_ tokens: ArraySlice<Token>, _ message: String) -> ManifestError {
        ManifestError(line: tokens.first?.line ?? 0, message: message)
    }
}
