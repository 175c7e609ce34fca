import FileAccess
import NameMatching
import SystemPackage
internal import Yams

/// A configuration file: the value of each known key, and its line.
struct SettingsFile {
    let path: String
    /// The values by their keys; a key without a value is absent.
    let values: [String: Value]
    /// One sentence for each unknown key, and for each mapping in place of a value.
    let problems: [String]

    /// A value as it stands in the file.
    struct Value {
        let node: Node
        let line: Int

        /// The value, for messages.
        var text: String { node.sequence == nil ? "\"\(node.string ?? "")\"" : "a list" }
    }

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
                // A file of comments sets nothing.
                (values, problems) = ([:], [])
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
        var values: [String: Value] = [:]
        var problems: [String] = []
        for (key, value) in mapping {
            let line = key.mark?.line ?? 0
            guard let name = key.string, keys.contains(where: { $0.name == name }) else {
                problems.append(Self.unknownKey(key.string ?? "?", at: "\(path):\(line)", among: keys))
                continue
            }
            if value.mapping != nil {
                problems.append("\(path):\(line): \(name) is a mapping; expected a value.")
                continue
            }
            // A key without a value counts as unset.
            if value.null == nil { values[name] = Value(node: value, line: line) }
        }
        (self.values, self.problems) = (values, problems)
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
