import Identifiers
import SystemPackage

/// The lines of a key file, each a keyword and a value.
///
/// Blank lines and lines that begin with `#` are ignored.
struct KeyFileText {
    /// One line with a keyword.
    struct Line {
        let number: Int
        let keyword: String
        let value: String
    }

    /// A key file has five lines; the limit leaves room for comments.
    private static let byteCountMax = 64 << 10

    let file: FilePath
    let lines: [Line]

    /// Reads a file's lines after `check` has accepted its permissions.
    ///
    /// - Throws: `KeysError`.
    init(reading file: FilePath, check: (_ permissions: UInt16) throws(KeysError) -> Void) throws(KeysError) {
        let bytes = try Self.bytes(of: file, check)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notKeyFile(file: file) }
        try self.init(text, of: file)
    }

    init(_ text: String, of file: FilePath) throws(KeysError) {
        self.file = file
        var lines: [Line] = []
        let all = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in all.enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let keyword = words.first, !line.drop(while: \.isWhitespace).hasPrefix("#") else { continue }
            guard words.count == 2 else {
                let found = words.count == 1 ? "one word" : "\(words.count) words"
                throw .malformedLine(
                    file: file, line: index + 1, problem: "has \(found); expected a keyword and a value.")
            }
            lines.append(Line(number: index + 1, keyword: String(keyword), value: String(words[1])))
        }
        self.lines = lines.filter { $0.keyword != "format" }
        // Files of the first version state no format.
        for line in lines where line.keyword == "format" {
            if let problem = FormatVersion.key.problem(with: line.value) { throw .otherFormat(file: file, problem) }
        }
    }

    /// The value of a keyword that must occur exactly once.
    ///
    /// - Throws: ``KeysError/missingLine(file:expected:)``, or ``KeysError/malformedLine(file:line:problem:)`` for a
    ///   second one.
    func only(_ keyword: String, expected: String) throws(KeysError) -> Line {
        let found = lines.filter { $0.keyword == keyword }
        guard let first = found.first else { throw .missingLine(file: file, expected: expected) }
        guard found.count == 1 else {
            throw .malformedLine(
                file: file, line: found[1].number,
                problem: "is a second \"\(keyword)\"; expected one. Remove it.")
        }
        return first
    }

    /// Refuses lines with other keywords.
    ///
    /// Otherwise a misspelt keyword would be ignored.
    ///
    /// - Throws: ``KeysError/malformedLine(file:line:problem:)``.
    func require(_ keywords: String...) throws(KeysError) {
        guard let line = lines.first(where: { !keywords.contains($0.keyword) }) else { return }
        let expected = keywords.map { "\"\($0)\"" }.joined(separator: " or ")
        // Do not quote the line: it may be a secret that lost its keyword.
        throw .malformedLine(file: file, line: line.number, problem: "has an unknown keyword; expected \(expected).")
    }

    private static func bytes(
        of file: FilePath, _ check: (_ permissions: UInt16) throws(KeysError) -> Void
    ) throws(KeysError) -> [UInt8] {
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(file, .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch {
            throw .callFailed(file: file, call: "open", code: error as? Errno ?? .ioError)
        }
        defer { try? descriptor.close() }
        let status: Stat
        do {
            status = try descriptor.stat()
        } catch {
            throw .callFailed(file: file, call: "fstat", code: error)
        }
        guard status.type == .regular, status.size <= byteCountMax else { throw .notKeyFile(file: file) }
        try check(UInt16(truncatingIfNeeded: status.permissions.rawValue) & 0o777)
        do {
            var bytes = [UInt8](repeating: 0, count: byteCountMax + 1)
            let count = try bytes.withUnsafeMutableBytes { try descriptor.read(fromAbsoluteOffset: 0, into: $0) }
            return Array(bytes.prefix(count))
        } catch {
            throw .callFailed(file: file, call: "read", code: error as? Errno ?? .ioError)
        }
    }
}
