/// The parts of Package.swift that the rules need.
///
/// A part that is not understood is an error, and is never skipped.
struct PackageManifest {
    struct Target: Equatable {
        let name: String
        /// The function that declares the target, such as `module`, `tests` or `executableTarget`.
        let declaredBy: String
        /// The path from the repository's root.
        let path: String
        let line: Int
        /// The names of targets and products, as they are imported.
        let dependencies: [String]

        var isTest: Bool { declaredBy == "tests" || declaredBy == "testTarget" }
        var isExecutable: Bool { declaredBy == "executableTarget" }
    }

    /// The targets in the order of the file.
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
