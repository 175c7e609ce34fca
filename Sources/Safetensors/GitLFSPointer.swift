/// The few lines that git-LFS leaves in place of a file that it did not fetch.
///
/// Source: git-lfs specification, "The Pointer": a `version` line first, then sorted `key value` lines.
struct GitLFSPointer {
    /// The size that the pointer states, if it is readable.
    let byteCount: Int?

    /// The longest pointer by the specification, in bytes.
    static let byteCountLimit = 1024

    /// Recognises a pointer by its first line; nil for anything else.
    init?(parsing bytes: [UInt8]) {
        guard bytes.starts(with: Array("version https://git-lfs".utf8)) else { return nil }
        let lines = bytes.prefix(Self.byteCountLimit).split(separator: UInt8(ascii: "\n"))
        let size = lines.first { $0.starts(with: Array("size ".utf8)) }
        byteCount = size.flatMap { Int(String(decoding: $0.dropFirst(5), as: UTF8.self)) }
    }
}
