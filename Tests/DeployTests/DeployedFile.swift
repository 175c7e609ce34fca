import Foundation
import Yams

/// A file of the repository, as text.
struct DeployedFile {
    let path: String
    let text: String

    /// Reads a file by its path from the repository's root.
    init(_ path: String) throws {
        self.path = path
        text = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every Swift file below a folder.
    static func sources(below folder: String) throws -> [DeployedFile] {
        let names = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
        return try (names?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }.sorted()
            .map { try DeployedFile("\(folder)/\($0)") }
    }

    /// The matches of a pattern's first group, in order.
    func matches(_ pattern: Regex<(Substring, Substring)>) -> [String] {
        text.matches(of: pattern).map { String($0.1) }
    }

    /// The value of a line `Key=value` of a unit; of several, the last one counts.
    func unitValue(_ key: String) -> String? {
        text.split(separator: "\n").last { $0.hasPrefix("\(key)=") }.map { String($0.dropFirst(key.count + 1)) }
    }

    /// The documents of a YAML file.
    func documents() throws -> [Node] { try Array(compose_all(yaml: text)) }
}

/// The metrics of the daemons, read from their sources.
enum DeclaredMetrics {
    static func names() throws -> Set<String> {
        Set(try DeployedFile.sources(below: "Sources").flatMap { $0.matches(/MetricFamily\(\s*"(kfacd_[a-z_]+)"/) })
    }
}

/// The settings of the daemons, read from their sources.
struct DeclaredSettings {
    let coordinator: Set<String>
    let worker: Set<String>

    init() throws {
        func names(_ text: some StringProtocol) -> Set<String> {
            Set(String(text).matches(of: /SettingKey\("([a-z-]+)"/).map { String($0.1) })
        }
        let common = names(try DeployedFile("Sources/kfacd/DaemonOptions.swift").text)
        // This file has one struct of protection settings for each daemon.
        let protection = try DeployedFile("Sources/kfacd/EndpointProtection.swift").text
        let parts = protection.components(separatedBy: "struct WorkerProtectionOptions")
        coordinator = names(try DeployedFile("Sources/kfacd/CoordinatorCommand.swift").text).union(common)
            .union(names(parts[0]))
        worker = names(try DeployedFile("Sources/kfacd/WorkerCommand.swift").text).union(common)
            .union(names(parts.count > 1 ? parts[1] : ""))
    }

    /// Whether a daemon knows the variable.
    func declares(variable: String) -> Bool {
        coordinator.union(worker).contains { "KFACD_" + $0.uppercased().replacing("-", with: "_") == variable }
    }
}
