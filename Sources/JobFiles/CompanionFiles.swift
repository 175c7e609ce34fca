import FileAccess
import Identifiers
import JSONText
import NameMatching
public import Safetensors
import SystemPackage

/// The files beside a base's tensors: those that belong to the model, and the rest.
///
/// Files that every model has are known by name: configuration and tokenizer. Files of this model alone are found by
/// references. `auto_map` names its Python code, `modules.json` its subdirectories, and other configuration its files.
/// Training states are never copied.
public struct CompanionFiles: Equatable, Sendable {
    /// The files to copy: paths within the model's directory, sorted.
    public private(set) var copied: [String] = []
    /// The top-level entries that are not copied, sorted; a directory ends in `/`.
    public private(set) var leftOut: [String] = []
    /// Sentences about references that are not followed.
    public private(set) var notFollowed: [String] = []

    /// The most files that are searched below a referenced directory.
    private static let entryLimit = 10_000
    /// The largest text that is searched for references.
    private static let textByteLimit = 16 << 20

    private let base: SafetensorsSet
    private var wanted: Set<String> = []

    /// Finds the files of a base.
    ///
    /// A base that is a single file has none, because its directory may hold anything.
    ///
    /// - Parameters:
    ///   - base: The base.
    ///   - hasTokenizer: Whether the tokenizer's files are copied.
    public init(besides base: SafetensorsSet, hasTokenizer: Bool = true) {
        self.base = base
        guard let names = try? WholeFile.names(in: base.path, within: base.roots) else { return }
        let tensors = Set(base.layout.shards.map(\.fileName) + [base.layout.indexName ?? ""])
        let visible = names.filter { $0.first != "." && !tensors.contains($0) }
        for name in visible where ModelFileName.isOfEveryModel(name) { want(name, from: nil) }
        for name in visible where ModelFileName.isOfTemplates(name) {
            wantAll(below: name, where: { $0.hasSuffix(".jinja") })
        }
        for name in wanted.sorted() where name.hasSuffix(".json") && name != "tokenizer.json" { follow(name) }
        copied = wanted.filter { hasTokenizer || !ModelFileName.isOfTokenizer($0) }.sorted()
        let firsts = Set(copied.map { String($0.prefix { $0 != "/" }) })
        leftOut = visible.filter { !firsts.contains($0) }.map { isDirectory($0) ? "\($0)/" : $0 }
    }

    /// Compares the results, not the bases.
    public static func == (left: CompanionFiles, right: CompanionFiles) -> Bool {
        (left.copied, left.leftOut, left.notFollowed) == (right.copied, right.leftOut, right.notFollowed)
    }

    // MARK: - What is wanted

    private func isDirectory(_ path: String) -> Bool {
        (try? WholeFile.names(in: base.path.pushing(FilePath(path)), within: base.roots)) != nil
    }

    /// Takes a file that may be read; notes one that may not.
    ///
    /// - Parameters:
    ///   - path: The path within the directory.
    ///   - origin: The file that refers to it; `nil` for a file found by name.
    private mutating func want(_ path: String, from origin: String?) {
        guard !wanted.contains(path) else { return }
        do throws(FileRootsError) {
            let descriptor = try base.roots.open(base.path.pushing(FilePath(path)))
            try? descriptor.close()
            if !isDirectory(path) { wanted.insert(path) }
        } catch {
            switch error {
            case .outside:
                note("\(path) leads out of the directories that may be read; it is not copied.")
            default:
                note("\(origin.map { "\($0) names " } ?? "")\(path), which cannot be read; it is not copied.")
            }
        }
    }

    /// Takes the files below a directory.
    private mutating func wantAll(below directory: String, where isWanted: (String) -> Bool = { _ in true }) {
        var open = [directory]
        var count = 0
        while let place = open.popLast() {
            let names = (try? WholeFile.names(in: base.path.pushing(FilePath(place)), within: base.roots)) ?? []
            for name in names where name.first != "." && !ModelFileName.isTrainingState(name) {
                count += 1
                guard count <= Self.entryLimit else {
                    note("\(directory) holds more than \(Self.entryLimit) entries; the rest is not copied.")
                    return
                }
                let path = "\(place)/\(name)"
                if isDirectory(path) { open.append(path) } else if isWanted(name) { want(path, from: nil) }
            }
        }
    }

    private mutating func note(_ sentence: String) {
        if !notFollowed.contains(sentence) { notFollowed.append(sentence) }
    }

    // MARK: - References

    private func text(_ path: String) -> [UInt8]? {
        try? WholeFile.read(base.path.pushing(FilePath(path)), limit: Self.textByteLimit, within: base.roots)
    }

    /// Takes the files that a configuration file names.
    private mutating func follow(_ name: String) {
        guard let bytes = text(name), let value = try? JSONValue(parsing: bytes, file: FilePath(name)) else { return }
        if name == "modules.json", case .array(let modules) = value {
            for module in modules {
                if let path = module["path"]?.stringValue, !path.isEmpty { take(path, from: name) }
                if let type = module["type"]?.stringValue { takeModule(ofClass: type, from: name, isCertain: false) }
            }
            return
        }
        follow(value, key: "", in: name)
    }

    private mutating func follow(_ value: JSONValue, key: String, in name: String) {
        switch value {
        case .object(let members):
            for member in members {
                let isCode = member.key == "auto_map" || member.key == "custom_pipelines"
                if isCode {
                    followCode(member.value, in: name)
                } else {
                    follow(member.value, key: member.key, in: name)
                }
            }
        case .array(let elements): for element in elements { follow(element, key: key, in: name) }
        case .string(let text):
            let isReference = key.hasSuffix("_file")
            guard isReference || isPlainName(text) else { return }
            take(text, from: name, isCertain: isReference)
        default: return
        }
    }

    /// Takes the classes of `auto_map`: `module.Class`, lists of them, or `repository--module.Class` from another
    /// repository.
    private mutating func followCode(_ value: JSONValue, in name: String) {
        switch value {
        case .object(let members): for member in members { followCode(member.value, in: name) }
        case .array(let elements): for element in elements { followCode(element, in: name) }
        case .string(let text):
            guard !text.contains("--") else { return }
            takeModule(ofClass: text, from: name, isCertain: true)
        default: return
        }
    }

    /// Whether a text could name a file beside the configuration: it is short, has an ending, and names no weights.
    private func isPlainName(_ text: String) -> Bool {
        text.utf8.count < 256 && text.contains(".") && !text.contains("\n") && !text.hasPrefix("/")
            && !ModelFileName.isWeights(text)
    }

    /// Takes a file or directory that is named by its path.
    private mutating func take(_ text: String, from name: String, isCertain: Bool = true) {
        let path = FilePath(text).lexicallyNormalized()
        guard path.isRelative, path.components.allSatisfy({ $0.kind == .regular }) else {
            if isCertain { note("\(name) names \(text.excerpt), which lies outside of the model; it is not copied.") }
            return
        }
        guard !path.isEmpty else { return }
        if isDirectory(path.string) {
            if isCertain { wantAll(below: path.string) }
        } else if isCertain || exists(path) {
            want(path.string, from: name)
        }
    }

    private func exists(_ path: FilePath) -> Bool {
        let parent = base.path.pushing(path).removingLastComponent()
        let names = (try? WholeFile.names(in: parent, within: base.roots)) ?? []
        return names.contains(path.lastComponent?.string ?? "")
    }

    // MARK: - Python

    /// Takes the module of a class, and the modules beside it that it imports.
    private mutating func takeModule(ofClass text: String, from name: String, isCertain: Bool) {
        guard !text.contains("/"), !text.hasPrefix("."), !text.contains("..") else {
            note("\(name) names \(text.excerpt), which lies outside of the model; it is not copied.")
            return
        }
        let module = text.split(separator: ".").dropLast().joined(separator: "/")
        guard !module.isEmpty else { return }
        takePython([module], from: name, isCertain: isCertain)
    }

    /// The files that make the parent directories of a module packages.
    private func packages(of module: String) -> [String] {
        var place = FilePath(module).removingLastComponent()
        var found: [String] = []
        while !place.isEmpty {
            found.append(place.appending("__init__.py").string)
            place.removeLastComponent()
        }
        return found.filter { exists(FilePath($0)) }
    }

    private mutating func takePython(_ modules: [String], from name: String, isCertain: Bool) {
        var open = modules.map { (module: $0, origin: name, isCertain: isCertain) }
        while let (module, origin, isCertain) = open.popLast() {
            let candidates = ["\(module).py", "\(module)/__init__.py"].filter { exists(FilePath($0)) }
            if candidates.isEmpty, isCertain { note("\(origin) names \(module).py, which is not there.") }
            for path in candidates + (candidates.isEmpty ? [] : packages(of: module)) where !wanted.contains(path) {
                want(path, from: origin)
                guard wanted.contains(path), let bytes = text(path) else { continue }
                for imported in PythonImports.relative(in: bytes, of: path) {
                    open.append((imported, path, false))
                }
            }
        }
    }
}
