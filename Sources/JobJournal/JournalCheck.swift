import Foundation
import Hashing

/// The digest beside every record; SQLite does not prove the bytes of its pages.
enum JournalCheck {
    /// The first 16 bytes of a SHA-256.
    static func of(job: String, kind: String, body: Data) -> Data {
        var hash = SHA256()
        for part in [Data(job.utf8), Data(kind.utf8), body] {
            let count = UInt64(part.count)
            hash.update((0..<8).map { UInt8(truncatingIfNeeded: count >> UInt64(8 * $0)) })
            hash.update(part.bytes)
        }
        return Data(hash.finalize().prefix(16))
    }
}
