/// Rules for imports.
enum ImportRules {
    /// The modules that decide and compute: no I/O, no clock, no chance, no thread.
    static let pureModules: Set<String> = [
        "Identifiers", "UnitOperations", "JobPlan", "Scheduling", "WireProtocol", "KroneckerFactors", "TaskArithmetic",
        "LinearAlgebra", "NameMatching", "Hashing", "RandomNumbers", "CostEstimate",
    ]

    /// What a pure module may import besides pure modules: libraries of values and the BLAS.
    static let pureLibraries: Set<String> = [
        "CLibcrypto", "CXXHash", "COpenBLAS", "CProductKernels", "CRandomKernels", "HeapModule", "OrderedCollections",
        "SwiftProtobuf", "Yams",
    ]

    /// Modules of the toolchain, which Package.swift does not name.
    static let standardModules: Set<String> = [
        "Swift", "Foundation", "FoundationEssentials", "FoundationXML", "Glibc", "Dispatch", "Synchronization",
        "Testing",
    ]

    /// Words that show that a pure module uses the outside, imported or not.
    static let impureWords: Set<String> = [
        "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator", "random", "randomElement", "shuffled",
        "withTaskGroup", "withThrowingTaskGroup", "CommandLine", "print", "readLine",
    ]

    /// Imports of a pure module that are neither pure modules nor libraries of values.
    static func impureImports(in source: SwiftSource, module: String) -> [Violation] {
        source.imports.filter { !pureModules.contains($0.module) && !pureLibraries.contains($0.module) }.map {
            source.violation($0.line, "the pure module \(module) imports \($0.module)")
        }
    }

    /// Uses of a clock, chance, tasks or the console in a pure module.
    static func impureWords(in source: SwiftSource, module: String) -> [Violation] {
        source.tokens.indices.filter { index in
            let token = source.tokens[index]
            // `Task` alone may be one of our own types, a learning task.
            let startsTask = token.isWord("Task") && source.token(index + 1)?.isSymbol("{") == true
            return token.kind == .word && (startsTask || impureWords.contains(token.text))
        }.map { source.violation(source.tokens[$0].line, "the pure module \(module) uses \(source.tokens[$0].text)") }
    }

    /// Imports that the target's line in Package.swift does not name.
    static func undeclaredImports(in source: SwiftSource, of target: PackageManifest.Target) -> [Violation] {
        let allowed = standardModules.union(target.dependencies)
        return source.imports.filter { !allowed.contains($0.module) && $0.module != "PackageDescription" }.map {
            source.violation($0.line, "\($0.module) is imported, but \(target.name) does not declare it")
        }
    }

    /// Dependencies that no file of the target imports.
    ///
    /// `tests` adds TestSupport to every target, and a test of processes depends on programs without importing them.
    static func unusedDependencies(
        of target: PackageManifest.Target,
        sources: [SwiftSource],
        in manifest: PackageManifest
    ) -> [Violation] {
        let imported = Set(sources.flatMap(\.imports).map(\.module))
        return target.dependencies.filter { dependency in
            let isFromTests = target.declaredBy == "tests" && dependency == "TestSupport"
            let isProgram = target.isTest && manifest[dependency]?.isExecutable == true
            return !imported.contains(dependency) && !isFromTests && !isProgram
        }.map { .manifest(target.line, "\(target.name) declares \($0) and imports it nowhere") }
    }

    /// Dependencies on later targets; the order of Package.swift is the order of levels.
    static func upwardArrows(in manifest: PackageManifest) -> [Violation] {
        var above: Set<String> = []
        var violations: [Violation] = []
        for target in manifest.targets {
            violations += target.dependencies.filter { manifest[$0] != nil && !above.contains($0) }.map {
                .manifest(target.line, "\(target.name) depends on \($0), which does not stand above it")
            }
            above.insert(target.name)
        }
        return violations
    }

    /// Source folders without a target, and targets without a folder.
    static func strayFolders(_ folders: Set<String>, in manifest: PackageManifest) -> [Violation] {
        let declared = Set(manifest.targets.map(\.path))
        return folders.subtracting(declared).sorted().map { .manifest(1, "no target is declared for the folder \($0)") }
            + declared.subtracting(folders).sorted().map { .manifest(1, "the folder \($0) of a target is missing") }
    }
}

extension Violation {
    static func manifest(_ line: Int, _ message: String) -> Violation {
        Violation(file: "Package.swift", line: line, message: message)
    }
}

extension SwiftSource {
    /// The imported modules, with the line of each import.
    var imports: [(module: String, line: Int)] {
        tokens.indices.compactMap { index in
            guard tokens[index].isWord("import"), token(modifiers(before: index).start)?.isFirstOnLine == true,
                let first = token(index + 1), first.kind == .word
            else { return nil }
            // `import struct Foundation.Date` imports Foundation.
            let kinds = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
            let module = kinds.contains(first.text) ? token(index + 2)?.text ?? first.text : first.text
            return (module, tokens[index].line)
        }
    }
}
