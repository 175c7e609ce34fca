import Yams

/// Limits of a job file.
///
/// They are far above what a job needs, yet low enough that no file keeps the coordinator busy.
enum JobFileLimits {
    /// The most bytes.
    static let byteCount = 256 << 10
    /// The most values; a value that aliases repeat counts each time.
    static let values = 100_000
    /// The most tasks.
    ///
    /// Plans hold numbers for each pair of tasks.
    static let tasks = 500
    /// The most slices of the layers, above the depth of any network.
    static let slices = 1_000
    /// The most entries of a model's `rename`, because each is tried on every name.
    static let renames = 100
    /// The most problems that are reported.
    static let problems = 100
    /// The most names that get a suggestion, when many may be wrong at once.
    static let suggestions = 10
    /// The highest rank of an adapter's factors, above that of most matrices.
    static let adapterRank = 65_536

    /// The problem of a text that is not safe to parse.
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

    /// The problem of a file whose aliases expand to too many values.
    static func problem(ofValues root: Node, fileName: String) -> JobProblem? {
        var count = 0
        // Iterative, because aliases of aliases can be as deep as the file is long.
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

    /// The line of a possible key that contains an alias.
    ///
    /// Parsing hashes keys, and hashing nested aliases takes exponential time.
    ///
    /// Such a key is an alias, a collection on one line, or follows a question mark. Quotes and comments are not
    /// recognised: this may find too many such keys, but never too few, and none in a file without aliases.
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

    /// Whether a token may begin after this byte.
    ///
    /// Non-ASCII bytes count too, because they may be line breaks.
    private static func startsToken(after byte: UInt8) -> Bool {
        byte <= 0x20 || byte >= 0x80 || ",[]{}:-?".utf8.contains(byte)
    }

    private static func isColonNext(in bytes: [UInt8], from position: Int) -> Bool {
        bytes[position...].first { $0 != 0x20 && $0 != 0x09 } == UInt8(ascii: ":")
    }
}
