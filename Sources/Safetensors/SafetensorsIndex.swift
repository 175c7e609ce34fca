import FileAccess
import Identifiers
import JSONText
import SystemPackage

/// The index beside the shards of a set: the file of each tensor.
struct SafetensorsIndex {
    /// Tensor name and file name, in the order of the text.
    let entries: [(tensor: String, shard: String)]

    static let nameSuffix = ".safetensors.index.json"
    /// Far above any real index (one of 100 000 tensors has 10 MB), yet small enough to be read whole.
    static let byteCountLimit = 100_000_000

    /// The most shards of a set; the largest models have a thousand.
    static let shardsMax = 10_000

    /// Reads and checks an index; refuses a key that occurs twice and a shard outside the directory.
    init(reading path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try WholeFile.read(path, limit: Self.byteCountLimit, within: roots)
        } catch {
            throw .file(error)
        }
        if let pointer = GitLFSPointer(parsing: bytes) {
            throw .gitLFSPointer(file: path, byteCount: pointer.byteCount)
        }
        let index: JSONValue
        do throws(JSONError) { index = try JSONValue(parsing: bytes, file: path) } catch { throw .json(error) }
        guard let members = index["weight_map"]?.members else {
            throw .set(path: path, problem: .indexField("\"weight_map\"", expected: "an object of file names"))
        }
        var entries: [(String, String)] = []
        var problems: [SafetensorsError] = []
        for member in members {
            switch member.value.stringValue {
            case nil:
                let field = "\"weight_map\" of tensor \"\(member.key.excerpt)\""
                problems.append(.set(path: path, problem: .indexField(field, expected: "a file name")))
            case let shard? where !Self.isPlainName(shard):
                problems.append(.set(path: path, problem: .shardOutside(tensor: member.key, shard: shard)))
            case let shard?: entries.append((member.key, shard))
            }
        }
        if let error = SafetensorsError.bundle(problems) { throw error }
        self.entries = entries
    }

    /// The index's text for a layout, as the Hub's own writer makes it: indent 2, keys sorted, a final newline.
    static func text(for layout: ShardLayout) -> String {
        let byteCount = layout.tensors.reduce(0) { $0 + ($1.byteCount ?? 0) }
        let places = layout.shards.flatMap { shard in
            shard.tensors.map { JSONValue.Member($0.name, .string(shard.fileName)) }
        }
        let sorted = places.sorted { $0.key.precedesByScalars($1.key) }
        let index = JSONValue.object([
            .init("metadata", .object([.init("total_size", .number(String(byteCount)))])),
            .init("weight_map", .object(sorted)),
        ])
        return index.text(indent: 2) + "\n"
    }

    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
            && !name.utf8.contains(0)
    }
}
