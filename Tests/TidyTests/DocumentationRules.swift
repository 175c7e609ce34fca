import Foundation

/// Rules for what must be documented.
enum DocumentationRules {
    /// Public functions, initialisers and properties that throw without a `- Throws:` in their documentation.
    static func undocumentedThrows(in source: SwiftSource) -> [Violation] {
        let publicProtocols = source.linesOfPublicProtocols
        return source.declarations.filter { declaration in
            let isRequirement = publicProtocols.contains { $0.contains(declaration.line) }
            return declaration.isThrowing && (declaration.modifiers.contains("public") || isRequirement)
        }.filter { declaration in
            let documentation = source.commentsAbove(declaration.firstLine).filter(\.isDocumentation)
            return !documentation.contains { $0.text.contains("- Throws:") }
        }.map { source.violation($0.line, "\($0.name) throws; its documentation has no \"- Throws:\"") }
    }

    /// Links of a Markdown file to files that do not exist.
    static func deadLinks(in file: TextFile, exists: (_ path: String) -> Bool) -> [Violation] {
        let folder = file.path.split(separator: "/").dropLast()
        return file.numberedLines.flatMap { line in
            line.text.matches(of: /\]\(([^)#\s]+)[^)]*\)/).compactMap { match -> Violation? in
                let target = String(match.1)
                guard !target.contains("://"), !target.hasPrefix("mailto:") else { return nil }
                let path = (folder.map(String.init) + [target]).joined(separator: "/")
                return exists(path) ? nil : file.violation(line.number, "the link to \(target) leads nowhere")
            }
        }
    }

    /// Modules that Sources/README.md does not name.
    static func unlistedModules(in manifest: PackageManifest, readme: TextFile) -> [Violation] {
        manifest.targets.filter { $0.path.hasPrefix("Sources/") && !readme.text.contains("`\($0.name)`") }.map {
            readme.violation(1, "the module `\($0.name)` is not in the table of modules")
        }
    }
}

extension SwiftSource {
    /// The lines of each public protocol's body.
    fileprivate var linesOfPublicProtocols: [ClosedRange<Int>] {
        tokens.indices.compactMap { index in
            guard tokens[index].isWord("protocol"), modifiers(before: index).modifiers.contains("public"),
                let open = tokens[index...].firstIndex(where: { $0.isSymbol("{") }), let close = closing(open)
            else { return nil }
            return tokens[open].line...tokens[close].line
        }
    }
}
