import Crypto
import Foundation

/// The digest beside every record; SQLite does not prove the bytes of its pages.
enum JournalCheck {
    /// The first 16 bytes of a SHA-256.
    static func of(job: String, kind: String, body: Data) -> Data {
        var hash = SHA256()
        for part in [Data(job.utf8), Data(kind.utf8), body] {
            var count = UInt64(part.count).littleEndian
            withUnsafeBytes(of: &count) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        return Data(hash.finalize().prefix(16))
    }
}
