import Testing

/// Tests each rule on a text that breaks it and on a similar text that does not, so that a rule without effect shows.
struct RuleTests {
    private func source(_ text: String, path: String = "Sources/Example/Example.swift") -> SwiftSource {
        SwiftSource(path: path, text: text)
    }

    private func file(_ text: String, path: String = "README.md") -> TextFile { TextFile(path: path, text: text) }

    private func manifest(_ targets: String) throws -> PackageManifest {
        try PackageManifest(source("let package = Package(name: \"x\", targets: [\(targets)])", path: "Package.swift"))
    }

    // MARK: - Imports

    private static let forbiddenModules = [
        "Foundation", "FoundationEssentials", "Glibc", "Dispatch", "ZeroMQ", "SystemPackage", "Synchronization",
    ]

    @Test(arguments: forbiddenModules)
    func `an import of input or output in a pure module is found in every form`(module: String) {
        let location = "Sources/Example/Example.swift:2"
        for form in [
            "import \(module)", "public import \(module)", "@preconcurrency internal import struct \(module).X",
        ] {
            let found = ImportRules.impureImports(in: source("// first\n\(form)\n"), module: "JobPlan")
            #expect(found.map(\.description) == ["\(location): the pure module JobPlan imports \(module)"])
        }
    }

    @Test func `an import of a pure module, in a comment or in a string is allowed`() {
        let text = "import Identifiers\nimport Yams\n// import Foundation\nlet text = \"\"\"\nimport Glibc\n\"\"\"\n"
        #expect(ImportRules.impureImports(in: source(text), module: "JobPlan").isEmpty)
    }

    @Test func `an operation that is named outside its files is found`() {
        let own = source("", path: "Sources/UnitOperations/SumOperation.swift")
        let names = OperationRules.operations(in: [own, source("", path: "Sources/UnitOperations/UnitOperation.swift")])
        #expect(names == ["SumOperation"])
        for (path, count) in [
            ("Sources/UnitOperations/SumOperation.swift", 0), ("Sources/UnitOperations/OperationRegistry.swift", 0),
            ("Sources/WorkerService/SumExecution.swift", 0), ("Sources/JobPlan/Planner.swift", 0),
            ("Sources/WorkerService/UnitExecutor.swift", 1), ("Sources/UnitOperations/UnitStage.swift", 1),
        ] {
            let text = "if operation is SumOperation { run() } // SumOperation\n"
            #expect(OperationRules.strayNames(names, in: source(text, path: path)).count == count, "\(path)")
        }
    }

    @Test func `a compute backend that is named outside its file, or registered nowhere, is found`() {
        let folder = "Sources/WorkerService/"
        let registry = source("let all = [TileFactorBackend()]", path: "\(folder)FactorBackendRegistry.swift")
        let files = ["Tile", "Chip", ""].map { source("", path: "\(folder)\($0)FactorBackend.swift") } + [registry]
        let backends = BackendRules.backends(in: files)
        #expect(backends == ["Tile", "Chip"])
        #expect(BackendRules.unregistered(backends, in: files) == ["Chip"])
        for (name, count) in [
            ("TileFactorBackend", 0), ("FactorBackendRegistry", 0), ("ChipFactorBackend", 1), ("UnitExecutor", 1),
        ] {
            let text = "let a = TileFactorAccumulator() // TileFactorBackend\n"
            let found = BackendRules.strayNames(backends, in: source(text, path: "\(folder)\(name).swift"))
            #expect(found.count == count, "\(name)")
        }
    }

    @Test func `a clock in a pure module is found`() {
        let found = ImportRules.impureWords(in: source("let now = ContinuousClock().now\n"), module: "Scheduling")
        #expect(found.map(\.message) == ["the pure module Scheduling uses ContinuousClock"])
    }

    @Test func `an undeclared import is found`() throws {
        let target = try #require(try manifest("module(\"A\"), module(\"B\", [\"A\"])")["B"])
        let found = ImportRules.undeclaredImports(in: source("import A\nimport Foundation\nimport C\n"), of: target)
        #expect(found.map(\.line) == [3])
    }

    @Test func `an unused dependency is found, and a program that a test starts is none`() throws {
        let manifest = try manifest(
            "module(\"A\"), .executableTarget(name: \"p\", dependencies: [\"A\"]), tests(\"T\", [\"A\", \"p\"])"
        )
        let target = try #require(manifest["T"])
        let unused = ImportRules.unusedDependencies(of: target, sources: [source("import Testing\n")], in: manifest)
        #expect(unused.map(\.message) == ["T declares A and imports it nowhere"])
        let used = ImportRules.unusedDependencies(of: target, sources: [source("@testable import A\n")], in: manifest)
        #expect(used.isEmpty)
    }

    @Test func `an arrow that points up is found`() throws {
        let found = ImportRules.upwardArrows(in: try manifest("module(\"A\", [\"B\"]),\nmodule(\"B\")"))
        #expect(found.map(\.message) == ["A depends on B, which does not stand above it"])
    }

    @Test func `a folder without target and a target without folder are found`() throws {
        let found = ImportRules.strayFolders(["Sources/C"], in: try manifest("module(\"A\")"))
        #expect(
            found.map(\.message) == [
                "no target is declared for the folder Sources/C", "the folder Sources/A of a target is missing",
            ]
        )
    }

    // MARK: - Sizes and names

    private static let signatures = [
        "func f(a: () -> Int = { 1 }) async throws -> Int", "init?<T>(a: T)", "var value: [Int]", "deinit",
    ]

    @Test(arguments: signatures)
    func `a body of 71 lines is found, and one of 70 is not`(signature: String) {
        func text(_ count: Int) -> String { "\(signature) {\n" + String(repeating: "\n", count: count - 2) + "}\n" }
        #expect(SizeRules.longFunctions(in: source(text(71))).count == 1)
        #expect(SizeRules.longFunctions(in: source(text(70))).isEmpty)
    }

    @Test func `braces in strings and comments do not end a function`() {
        let body = "// }\n/* } */ print(\"}\\(g(\"}\"))\", #\"}\\\"#)\n" + String(repeating: "\n", count: 70)
        let text = "func f() {\n\(body)}\n"
        #expect(SizeRules.longFunctions(in: source(text)).count == 1)
    }

    @Test func `a file of 451 lines is found`() {
        #expect(SizeRules.longFile(source(String(repeating: "\n", count: 451))).count == 1)
        #expect(SizeRules.longFile(source(String(repeating: "\n", count: 450))).isEmpty)
    }

    @Test func `a line of 121 columns is found, counted in characters`() {
        #expect(SizeRules.longLines(in: file("\n" + String(repeating: "ü", count: 121))).map(\.line) == [2])
        #expect(SizeRules.longLines(in: file(String(repeating: "ü", count: 120))).isEmpty)
    }

    @Test func `a wide line of Swift is found unless it ends in a string`() {
        let wide = String(repeating: "x", count: 121)
        let text =
            "// \(wide)\nlet \(wide) = 1\nlet a = \"\(wide)\"\nf(\"\(wide)\", a)\nlet b = \"\"\"\n\(wide)\n\"\"\"\n"
        #expect(SizeRules.longLines(in: source(text)).map(\.line) == [1, 2, 4])
    }

    @Test func `a name that says nothing is found`() {
        let text = "final class JobManager {}\nstruct Manage {}\nenum ImplicitKind {}\nactor HTTPUtils {}\n"
        #expect(NamingRules.emptyNames(in: source(text)).map(\.line) == [1, 4])
        let path = "Sources/Example/Array+Helpers.swift"
        #expect(NamingRules.emptyNames(in: source("", path: path)).map(\.file) == [path])
    }

    // MARK: - What must be said, and what must not

    @Test func `a trap without message is found`() {
        let text = """
            precondition(a < b)
            precondition(a < b, "a is \\(a)")

            fatalError()

            let x = try! f()

            // The pattern is a constant.
            let y = try! f()
            """
        #expect(TrapRules.silentTraps(in: source(text)).map(\.line) == [1, 4, 6])
    }

    @Test func `unchecked sharing without a reason is found`() {
        let text = """
            /// A box.
            final class Box: @unchecked Sendable {}

            final class Other: @unchecked Sendable {
                // @unchecked Sendable because nothing writes.
            }

            nonisolated(unsafe) var count = 0
            """
        #expect(TrapRules.unexplainedSendability(in: source(text)).map(\.line) == [2, 8])
    }

    @Test func `a public declaration that throws without saying so is found`() {
        let text = """
            public struct S {
                /// Reads.
                public func read() throws(E) -> Int { 1 }
                /// Reads.
                ///
                /// - Throws: nothing else.
                @discardableResult
                public func write() throws -> Int { 1 }
                /// Passes on.
                public func pass(_ body: () throws -> Void) rethrows {}
                func inside() throws {}
                /// Makes.
                public init() throws {}
            }
            public protocol P {
                /// Runs.
                func run() async throws
                /// Walks.
                func walk(_ step: () throws -> Void)
            }
            """
        #expect(DocumentationRules.undocumentedThrows(in: source(text)).map(\.line) == [3, 13, 17])
    }

    @Test func `a mark of unfinished work is found`() {
        let text = "fine\n// TO" + "DO: finish\nmkstemp(\"XX" + "XX" + "XX\")\n"
        #expect(TextRules.unfinishedWork(in: file(text)).map(\.line) == [2])
    }

    @Test func `a path of one machine is found`() {
        let (work, root) = ("/wo" + "rk", "/ro" + "ot")
        let text = "see \(work)/main\nhttps://example.org\(work)/main\n(\(root))\n\(work)er/a\n\\(path)\(work)/a\n"
        #expect(TextRules.machinePaths(in: file(text)).map(\.line) == [1, 3])
    }

    @Test func `a link that leads nowhere is found`() {
        let text = "[a](a.swift) [b](../Tests/b.swift#L3)\n[c](https://example.org) [d](missing.md)"
        let existing: Set<String> = ["Sources/a.swift", "Sources/../Tests/b.swift"]
        let found = DocumentationRules.deadLinks(in: file(text, path: "Sources/README.md"), exists: existing.contains)
        #expect(found.map(\.description) == ["Sources/README.md:2: the link to missing.md leads nowhere"])
    }

    @Test func `a module without its row is found`() throws {
        let manifest = try manifest("module(\"A\"), module(\"B\"), tests(\"ATests\", [\"A\"])")
        let found = DocumentationRules.unlistedModules(in: manifest, readme: file("| `A` | names |"))
        #expect(found.map(\.message) == ["the module `B` is not in the table of modules"])
    }
}
