import Yams

/// What a job file may hold: far more than a job needs, and so little that no file keeps the coordinator busy.
enum JobFileLimits {
    /// Most bytes.
    static let byteCount = 256 << 10
    /// Most values, each counted as often as aliases repeat it.
    static let values = 100_000
    /// Most tasks: plans hold numbers for each pair of them.
    static let tasks = 500
    /// Most problems that are reported.
    static let problems = 100
    /// Most names with a suggestion what was meant, where many may be wrong at once.
    static let suggestions = 10

    /// The problem of a text that must not even be parsed.
    static func problem(ofText yaml: String, fileName: String) -> JobProblem? {
        guard yaml.utf8.count <= byteCount else {
            return JobProblem(
                at: fileName, "the file has \(yaml.utf8.count) bytes; at most \(byteCount) are allowed for a job file.")
        }
        return lineOfUnboundedKey(in: yaml).map { line in
            JobProblem(
                at: "\(fileName):\(line)",
                "a list, a mapping or an alias is the key of a mapping, in a file with aliases. Write keys as plain "
                    + "words, or the values out.")
        }
    }

    /// The problem of a file whose aliases stand for too much.
    static func problem(ofValues root: Node, fileName: String) -> JobProblem? {
        var count = 0
        // Not recursive: aliases of aliases are as deep as the file is long.
        var pending = [root]
        while let node = pending.popLast() {
            count += 1
            switch node {
            case .sequence(let items): pending.append(contentsOf: items)
            case .mapping(let pairs): for (key, value) in pairs { pending += [key, value] }
            case .scalar, .alias: break
            }
            guard count + pending.count <= values else {
                return JobProblem(
                    at: fileName,
                    "the file has more than \(values) values, those that aliases repeat counted each time; expected a "
                        + "job of at most \(tasks) tasks.")
            }
        }
        return nil
    }

    /// The line of what may be a key with an alias in it: parsing hashes keys, and the hash of an alias of aliases of
    /// aliases takes exponential time.
    ///
    /// Such a key is an alias, a collection on one line, or behind a question mark. Quotes and comments are not told
    /// from the rest: this sees too many such keys rather than too few, and none in a file without aliases.
    private static func lineOfUnboundedKey(in yaml: String) -> Int? {
        let bytes = Array(yaml.utf8)
        var line = 1
        var suspect: Int?
        var hasAlias = false
        var isStart = true
        for (position, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "?") where isStart: suspect = suspect ?? line
            case UInt8(ascii: "*") where isStart:
                hasAlias = true
                let name = bytes[(position + 1)...].prefix { isWordByte($0) }
                if isColonNext(in: bytes, from: name.endIndex) { suspect = suspect ?? line }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if isColonNext(in: bytes, from: position + 1) { suspect = suspect ?? line }
            default: break
            }
            isStart = startsToken(after: byte)
        }
        return hasAlias ? suspect : nil
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        !startsToken(after: byte) || byte == UInt8(ascii: "-")
    }

    /// Whether a token may begin behind a byte; beyond ASCII there are line breaks too.
    private static func startsToken(after byte: UInt8) -> Bool {
        byte <= 0x20 || byte >= 0x80 || ",[]{}:-?".utf8.contains(byte)
    }

    private static func isColonNext(in bytes: [UInt8], from position: Int) -> Bool {
        bytes[position...].first { $0 != 0x20 && $0 != 0x09 } == UInt8(ascii: ":")
    }
}
