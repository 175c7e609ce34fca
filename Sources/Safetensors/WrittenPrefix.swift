import Dispatch
import FileAccess
import Hashing
import Synchronization

/// The bytes of a file that were written without a gap from its start, while the others are still being written.
///
/// A thread of its own follows them: it asks the kernel to write them to the disk, and hashes them. So neither waits
/// for the last byte.
final class WrittenPrefix: Sendable {
    /// The thread is woken for so many bytes.
    private static let stepByteCount = 8 << 20

    private let partial: PartialFile<SafetensorsError>
    private let queue = DispatchQueue(label: "kfacd.written-prefix")
    /// How far the thread was asked to follow.
    private let asked = Mutex(0)
    private let isAbandoned = Atomic(false)
    private let followed: Mutex<Followed>

    private struct Followed {
        var hash: SHA256?
        var byteCount = 0
        var failure: SafetensorsError?

        mutating func add(_ range: Range<Int>, of partial: PartialFile<SafetensorsError>) {
            byteCount = range.upperBound
            guard var hash else { return }
            // Two digests of one state would copy it.
            self.hash = nil
            do throws(SafetensorsError) {
                try RangeDigest.add(
                    range, of: partial.file, named: partial.finalPath, to: &hash, fileByteCount: range.upperBound)
            } catch {
                failure = error
            }
            self.hash = hash
        }
    }

    /// Follows a file from its start.
    ///
    /// - Parameters:
    ///   - partial: The file.
    ///   - isHashed: Whether the bytes are hashed.
    init(of partial: PartialFile<SafetensorsError>, isHashed: Bool) {
        self.partial = partial
        followed = Mutex(Followed(hash: isHashed ? SHA256() : nil))
    }

    /// Takes note that all bytes before `end` are written; an earlier end changes nothing.
    func grow(to end: Int) {
        let isWorthwhile = asked.withLock { asked in
            guard end - asked >= Self.stepByteCount else { return false }
            asked = end
            return true
        }
        if isWorthwhile { queue.async { self.follow(to: end) } }
    }

    /// Stops following, because nobody wants the file any more.
    func abandon() { isAbandoned.store(true, ordering: .relaxed) }

    /// Follows a whole file to its end.
    ///
    /// - Returns: The digest of the content; `nil` if it is not hashed.
    /// - Throws: ``SafetensorsError``: what reading failed with.
    func digest(fileByteCount: Int) throws(SafetensorsError) -> [UInt8]? {
        queue.sync { follow(to: fileByteCount) }
        let (digest, failure) = followed.withLock { ($0.hash?.finalize(), $0.failure) }
        if let failure { throw failure }
        return digest
    }

    private func follow(to end: Int) {
        // Only the queue's thread takes this lock for long.
        followed.withLock { followed in
            guard !isAbandoned.load(ordering: .relaxed), followed.failure == nil, end > followed.byteCount
            else { return }
            partial.file.beginWriting(at: followed.byteCount, count: end - followed.byteCount)
            // In steps, so that nobody waits long for the end of a file that is abandoned.
            while followed.byteCount < end, followed.failure == nil, !isAbandoned.load(ordering: .relaxed) {
                let next = min(end, followed.byteCount + Self.stepByteCount)
                followed.add(followed.byteCount..<next, of: partial)
            }
        }
    }
}
