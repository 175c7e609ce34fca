import Testing

/// The versions of formats in documents and in the client in Python.
@Suite struct FormatDocumentTests {
    private let source: DeployedFile

    init() throws { source = try DeployedFile("Sources/Identifiers/FormatVersion.swift") }

    /// A statement about the wire's version.
    struct Statement: Sendable, CustomTestStringConvertible {
        let file: String
        let pattern: @Sendable () -> Regex<(Substring, Substring)>
        var testDescription: String { file }
    }

    @Test(arguments: [
        Statement(file: "Sources/DESIGN.md") { /The wire protocol has version ([0-9]+)/ },
        Statement(file: "CHANGELOG.md") { /The wire protocol has version ([0-9]+)/ },
        Statement(file: "Deploy/README.md") { /\| the wire protocol \| ([0-9]+):/ },
        Statement(file: "Sources/WireProtocol/CLIENT.md") { /`Envelope.version` is ([0-9]+)/ },
        Statement(file: "Examples/push/push.py") { /VERSION = ([0-9]+)/ },
    ])
    func `a document states the version of the wire`(statement: Statement) throws {
        let version = source.matches(/FormatVersion\("kfacd\.wire", ([0-9]+)\)/)
        #expect(version.count == 1)
        #expect(try DeployedFile(statement.file).matches(statement.pattern()) == version)
    }

    @Test func `the operator's guide lists every format of kfacd's files`() throws {
        let guide = try DeployedFile("Deploy/README.md").text
        let names = source.text.matches(of: /FormatVersion\("(kfacd\.[a-z-]+)", ([0-9]+)\)/).filter {
            $0.1 != "kfacd.wire"
        }
        #expect(names.count > 10)
        for name in names { #expect(guide.contains("`\(name.1)/\(name.2)`"), "\(name.1)") }
    }
}
