import Foundation
import Testing

/// The project's rules, one test each, applied to this repository.
struct RepositoryTests {
    let repository: Repository

    init() throws { repository = try Repository.current.get() }

    private func expectNone(_ violations: [Violation], sourceLocation: SourceLocation = #_sourceLocation) {
        if !violations.isEmpty { Issue.record("\(violations.report)", sourceLocation: sourceLocation) }
    }

    private func pureSources(_ rule: (SwiftSource, String) -> [Violation]) -> [Violation] {
        repository.manifest.targets.filter { ImportRules.pureModules.contains($0.name) }.flatMap { target in
            repository.sources(of: target).flatMap { rule($0, target.name) }
        }
    }

    // MARK: - Imports

    @Test func `every pure module exists`() {
        let missing = ImportRules.pureModules.filter { repository.manifest[$0] == nil }
        #expect(missing.isEmpty)
    }

    @Test func `pure modules import no input or output`() {
        expectNone(pureSources(ImportRules.impureImports))
    }

    @Test func `pure modules use no clock, no chance, no task and no console`() {
        expectNone(pureSources(ImportRules.impureWords))
    }

    @Test func `every folder of sources is a target, and every target has its folder`() {
        // C modules have no Swift file.
        let sources = repository.textFiles.filter { $0.path.wholeMatch(of: /.*\.(swift|c|modulemap)/) != nil }
        let folders = sources.compactMap { source -> String? in
            let components = source.path.split(separator: "/")
            guard components.count > 2, components[0] == "Sources" || components[0] == "Tests" else { return nil }
            return "\(components[0])/\(components[1])"
        }
        expectNone(ImportRules.strayFolders(Set(folders), in: repository.manifest))
    }

    @Test func `a target imports only what its line in the manifest names`() {
        expectNone(
            repository.manifest.targets.flatMap { target in
                repository.sources(of: target).flatMap { ImportRules.undeclaredImports(in: $0, of: target) }
            }
        )
    }

    @Test func `a target imports everything that its line in the manifest names`() {
        expectNone(
            repository.manifest.targets.filter { $0.declaredBy != "systemLibrary" }.flatMap { target in
                ImportRules.unusedDependencies(
                    of: target,
                    sources: repository.sources(of: target),
                    in: repository.manifest
                )
            }
        )
    }

    @Test func `a target depends only on what stands above it in the manifest`() {
        expectNone(ImportRules.upwardArrows(in: repository.manifest))
    }

    @Test func `an operation of workers is named in its own files and in plans only`() {
        let operations = OperationRules.operations(in: repository.shippedSources)
        #expect(operations.count >= 8)
        expectNone(repository.shippedSources.flatMap { OperationRules.strayNames(operations, in: $0) })
    }

    @Test func `a compute backend is registered, and named in its own file and the registry only`() {
        let backends = BackendRules.backends(in: repository.shippedSources)
        #expect(backends.contains("BLAS"))
        #expect(BackendRules.unregistered(backends, in: repository.shippedSources) == [])
        expectNone(repository.shippedSources.flatMap { BackendRules.strayNames(backends, in: $0) })
    }

    @Test(arguments: ContributionList.all)
    func `a list of files for contributors names every place of what it describes`(list: ContributionList) throws {
        #expect(try list.holders(among: repository.textFiles) == list.files)
        let document = try #require(repository.textFiles.first { $0.path == "CONTRIBUTING.md" })
        let links = try #require(ContributionList.links(of: list.section, in: document.text))
        #expect(list.files.subtracting(links) == [])
    }

    // MARK: - Sizes and names

    @Test func `no function is longer than a screen`() {
        expectNone(repository.writtenSources.flatMap(SizeRules.longFunctions))
    }

    @Test func `no file holds more than one idea fits in`() {
        expectNone(repository.writtenSources.flatMap(SizeRules.longFile))
    }

    @Test func `no line is wider than 120 columns`() {
        let otherwise: Set<String> = ["swift", "md", "html", "json", "svg"]
        let files = repository.textFiles.filter { file in
            // The lines of a scenario's trace may be long.
            !otherwise.contains(URL(fileURLWithPath: file.path).pathExtension) && !file.path.contains("/Scenarios/")
        }
        expectNone(repository.writtenSources.flatMap { SizeRules.longLines(in: $0) })
        expectNone(files.flatMap { SizeRules.longLines(in: $0) })
    }

    @Test func `no type and no file has a name that says nothing`() {
        expectNone(repository.writtenSources.flatMap(NamingRules.emptyNames))
    }

    // MARK: - What must be said, and what must not

    @Test func `every trap has a message or a comment`() {
        expectNone(repository.shippedSources.flatMap(TrapRules.silentTraps))
    }

    @Test func `every unchecked sharing says why it is safe`() {
        expectNone(repository.shippedSources.flatMap(TrapRules.unexplainedSendability))
    }

    @Test func `every public declaration that throws says what is true afterwards`() {
        expectNone(repository.shippedSources.flatMap(DocumentationRules.undocumentedThrows))
    }

    @Test func `no file holds a mark of unfinished work`() {
        expectNone(repository.textFiles.flatMap(TextRules.unfinishedWork))
    }

    @Test func `no file names a path of one machine`() {
        expectNone(repository.textFiles.flatMap(TextRules.machinePaths))
    }

    @Test func `every link between our documents leads to a file`() {
        let documents = repository.textFiles.filter { $0.path.hasSuffix(".md") }
        #expect(!documents.isEmpty)
        expectNone(
            documents.flatMap { document in
                DocumentationRules.deadLinks(in: document) { path in
                    FileManager.default.fileExists(atPath: "\(repository.root)/\(path)")
                }
            }
        )
    }

    @Test func `every module has its row in Sources README`() throws {
        let readme = try #require(repository.textFiles.first { $0.path == "Sources/README.md" })
        expectNone(DocumentationRules.unlistedModules(in: repository.manifest, readme: readme))
    }
}
