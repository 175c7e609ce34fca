internal import Configuration
import FileAccess
import Foundation
import NameMatching
import SystemPackage
internal import Yams

/// A configuration file: the values that swift-configuration reads, and the line of each key.
struct SettingsFile {
    let path: String
    /// Its values, or `nil` when it sets nothing; a file of comments is not a mapping.
    let snapshot: YAMLSnapshot?
    /// The line of each key that has a value.
    let lines: [String: Int]
    /// The text of each value, for messages.
    let texts: [String: String]
    /// One sentence for each unknown key.
    let problems: [String]

    /// The most bytes of a configuration file.
    private static let byteCountMax = 1 << 20

    /// Reads a file.
    ///
    /// - Throws: ``SettingsError/unreadableFile(path:cause:)``, ``SettingsError/malformedFile(path:problem:)``.
    init(path: String, keys: [SettingKey]) throws(SettingsError) {
        let text: String
        do throws(TextFileError) {
            text = try TextFile.read(FilePath(path), limit: Self.byteCountMax, isStored: true)
        } catch .unreadable(_, .noSuchFileOrDirectory) {
            throw .unreadableFile(path: path, cause: "there is no such file")
        } catch .unreadable(_, .permissionDenied) {
            throw .unreadableFile(path: path, cause: "it may not be read by this user")
        } catch .unreadable(_, let code) {
            throw .unreadableFile(path: path, cause: "\(code)")
        } catch .notStored {
            throw .unreadableFile(path: path, cause: "it is no regular file, and could not be read again on SIGHUP")
        } catch .notText {
            throw .malformedFile(path: path, problem: "it is no UTF-8 text")
        } catch {
            throw .malformedFile(path: path, problem: "it has more than \(Self.byteCountMax) bytes")
        }
        try self.init(path: path, text: text, keys: keys)
    }

    /// Reads a file's text.
    ///
    /// - Throws: ``SettingsError/malformedFile(path:problem:)``.
    init(path: String, text: String, keys: [SettingKey]) throws(SettingsError) {
        self.path = path
        let mapping: Node.Mapping
        do {
            guard let node = try Yams.compose(yaml: text) else {
                (snapshot, lines, texts, problems) = (nil, [:], [:], [])
                return
            }
            guard let found = node.mapping else {
                throw SettingsError.malformedFile(path: path, problem: "it holds no mapping")
            }
            mapping = found
        } catch let error as SettingsError {
            throw error
        } catch let error as YamlError {
            throw .malformedFile(path: path, problem: Self.problem(error))
        } catch {
            throw .malformedFile(path: path, problem: "\(error)")
        }
        var lines: [String: Int] = [:]
        var texts: [String: String] = [:]
        var problems: [String] = []
        for (key, value) in mapping {
            let line = key.mark?.line ?? 0
            guard let name = key.string, keys.contains(where: { $0.name == name }) else {
                problems.append(Self.unknownKey(key.string ?? "?", at: "\(path):\(line)", among: keys))
                continue
            }
            if value.mapping != nil {
                problems.append("\(path):\(line): \(name) is a mapping; expected a value.")
            }
            // A key without a value counts as unset.
            if value.null != nil { continue }
            lines[name] = line
            texts[name] = value.sequence == nil ? "\"\(value.string ?? "")\"" : "a list"
        }
        do {
            snapshot = try YAMLSnapshot(
                data: Data(text.utf8).bytes, providerName: path, parsingOptions: .default)
        } catch {
            // The file holds, for example, a list of mappings; no setting is one.
            throw .malformedFile(path: path, problem: "\(error)")
        }
        (self.lines, self.texts, self.problems) = (lines, texts, problems)
    }

    private static func unknownKey(_ name: String, at place: String, among keys: [SettingKey]) -> String {
        let names = keys.map(\.name)
        let hint = suggestion(for: name, among: names)
        return "\(place): there is no setting \"\(name)\"."
            + (hint.isEmpty ? " Expected one of \(names.joined(separator: ", "))." : hint)
    }

    private static func problem(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "line \(mark.line), column \(mark.column): \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            "line \(context.mark.line): \(duplicates.map { "\"\($0)\"" }.joined(separator: ", ")) stands there twice"
        default: "\(error)"
        }
    }
}
