import Foundation

/// The repository of this test, read once.
struct Repository {
    /// The absolute path of the root.
    let root: String
    let manifest: PackageManifest
    /// Every Swift file of the package and its manifest, by path.
    let swiftSources: [SwiftSource]
    /// Every text file of the repository, by path.
    let textFiles: [TextFile]

    static let current = Result { try Repository(root: rootOfThisFile) }

    private static var rootOfThisFile: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }

    init(root: String) throws {
        self.root = root
        textFiles = try Self.textPaths(under: root).map { path in
            try TextFile(path: path, text: String(contentsOfFile: "\(root)/\(path)", encoding: .utf8))
        }
        swiftSources = textFiles.filter { $0.path.hasSuffix(".swift") }.map { .init(path: $0.path, text: $0.text) }
        guard let manifest = swiftSources.first(where: { $0.path == "Package.swift" }) else {
            throw ManifestError(line: 0, message: "\(root) has no Package.swift")
        }
        self.manifest = try PackageManifest(manifest)
    }

    /// The shipped source files, without generated ones.
    var shippedSources: [SwiftSource] { swiftSources.filter { $0.path.hasPrefix("Sources/") && !$0.isGenerated } }

    /// Every source file that a person wrote.
    var writtenSources: [SwiftSource] { swiftSources.filter { !$0.isGenerated } }

    func sources(of target: PackageManifest.Target) -> [SwiftSource] {
        swiftSources.filter { $0.path.hasPrefix(target.path + "/") }
    }

    // MARK: - Files

    private static let folders = ["Sources", "Tests", "Benchmarks", "Fuzz", "Deploy", "Examples", "Python", ".ci"]
    /// Extensions of binary files and of files that tools write.
    private static let skippedExtensions: Set<String> = ["safetensors", "bin", "png", "sqlite", "resolved", "xz"]

    /// Inputs for decoders; their file names are the digests of their bytes.
    private static let skippedFolder = "Fuzz/Corpus/"

    private static func textPaths(under root: String) throws -> [String] {
        let files = FileManager.default
        var paths = try files.contentsOfDirectory(atPath: root).filter { name in
            var isFolder: ObjCBool = false
            // In a second work tree `.git` is a file that belongs to git.
            return name != ".git" && files.fileExists(atPath: "\(root)/\(name)", isDirectory: &isFolder)
                && !isFolder.boolValue
        }
        for folder in folders where files.fileExists(atPath: "\(root)/\(folder)") {
            let inside = try files.subpathsOfDirectory(atPath: "\(root)/\(folder)")
            paths += inside.map { "\(folder)/\($0)" }.filter { path in
                var isFolder: ObjCBool = false
                return files.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder) && !isFolder.boolValue
            }
        }
        return paths.filter { path in
            let components = path.split(separator: "/")
            let isBuilt = components.contains { $0.hasPrefix(".build") || $0 == "__pycache__" || $0 == "out" }
            let isSkipped = skippedExtensions.contains(URL(fileURLWithPath: path).pathExtension)
            return !isBuilt && !isSkipped && !path.hasPrefix(skippedFolder)
        }.sorted()
    }
}

/// A text file.
struct TextFile {
    /// The path from the repository's root.
    let path: String
    let text: String

    /// The lines with their numbers, counted from 1.
    var numberedLines: [(number: Int, text: Substring)] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map { ($0 + 1, $1) }
    }

    func violation(_ line: Int, _ message: String) -> Violation { Violation(file: path, line: line, message: message) }
}
