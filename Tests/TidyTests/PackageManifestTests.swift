import Testing

/// The reader of Package.swift understands every form that ours uses, and refuses others.
struct PackageManifestTests {
    private func read(_ targets: String, before: String = "") throws -> PackageManifest {
        let text = "\(before)\nlet package = Package(\nname: \"x\",\ntargets: \(targets))\n"
        return try PackageManifest(SwiftSource(path: "Package.swift", text: text))
    }

    private func message(_ targets: String) -> String? {
        do {
            _ = try read(targets)
            return nil
        } catch { return "\(error)" }
    }

    @Test func `names, folders and dependencies of all forms are read in order`() throws {
        let manifest = try read(
            """
            [
                .systemLibrary(name: "CLib", pkgConfig: "lib", providers: [.apt(["lib-dev"])]),
                module("A", ["CLib", crypto, .product(name: "Yams", package: "Yams")], settings: other),
                .executableTarget(name: "tool", dependencies: ["A"], swiftSettings: settings),
                .target(name: "TestSupport", path: "Tests/Support"),
                tests("ATests", ["A"], resources: [.copy("B")]), // last
            ]
            """,
            before: "let crypto: Target.Dependency = .product(name: \"Crypto\", package: \"swift-crypto\")"
        )
        #expect(manifest.targets.map(\.name) == ["CLib", "A", "tool", "TestSupport", "ATests"])
        let folders = ["Sources/CLib", "Sources/A", "Sources/tool", "Tests/Support", "Tests/ATests"]
        #expect(manifest.targets.map(\.path) == folders)
        #expect(manifest["A"]?.dependencies == ["CLib", "Crypto", "Yams"])
        #expect(manifest["ATests"]?.dependencies == ["A", "TestSupport"])
    }

    @Test func `a form that is not understood is refused with its line`() {
        let advice = "; teach ManifestReader.swift to read it"
        let cases = [
            "[\nmacro(\"A\")]": "Package.swift:5: no target is known that macro declares",
            "[module(\"A\", names)]": "Package.swift:4: an array literal was expected",
            "[module(\"A\", [\"B\"] + names)]": "Package.swift:4: an array literal was expected",
            "[module(\"A\", [other])]": "Package.swift:4: other is not a known constant",
            "[module(\"A\", [.plugin(name: \"B\")])]": "Package.swift:4: no dependency is known that plugin declares",
            "[module(\"A\")] + more": "Package.swift:4: an array literal was expected",
            "[module(name)]": "Package.swift:4: a target has no name",
            "[]": "Package.swift:1: no targets are declared",
        ]
        for (targets, expected) in cases { #expect(message(targets) == expected + advice) }
    }
}
