/// What Package.swift declares, as far as the rules need it.
///
/// What is not understood is an error, never skipped.
struct PackageManifest {
    struct Target: Equatable {
        let name: String
        /// The function that declares it, such as `module`, `tests` or `executableTarget`.
        let declaredBy: String
        /// Relative to the repository's root.
        let path: String
        let line: Int
        /// Own targets and products alike, by the name one imports.
        let dependencies: [String]

        var isTest: Bool { declaredBy == "tests" || declaredBy == "testTarget" }
        var isExecutable: Bool { declaredBy == "executableTarget" }
    }

    /// In the order of the file.
    let targets: [Target]

    subscript(name: String) -> Target? { targets.first { $0.name == name } }

    init(_ source: SwiftSource) throws {
        let reader = ManifestReader(source: source)
        targets = try reader.targets()
        guard !targets.isEmpty else { throw ManifestError(line: 1, message: "no targets are declared") }
    }
}

/// Why a manifest could not be understood.
struct ManifestError: Error, CustomStringConvertible {
    let line: Int
    let message: String

    var description: String { "Package.swift:\(line): \(message); teach ManifestReader.swift to read it" }
}
