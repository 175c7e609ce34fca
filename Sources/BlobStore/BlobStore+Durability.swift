import FileAccess
import Identifiers
import Synchronization
import SystemPackage

extension BlobStore {
    /// Makes every blob finished so far survive a power failure: one fsync for each file, each segment with new records
    /// and each directory, and one more when directories were made.
    ///
    /// A blob that the disk refuses is lost, because a second fsync would report success for lost pages. Those are all
    /// new blobs of a refused segment. A missing blob is lost too. Neither is a failure, because a record that names a
    /// blob does not promise its bytes.
    ///
    /// - Throws: ``BlobStoreError``, the first failure; the other blobs are durable, or will be after the next call.
    public func makeDurable() throws(BlobStoreError) {
        var firstError: BlobStoreError?
        synchronizeFiles(&firstError)
        contents.withLock { $0.small.dropEmptied() }
        synchronizeSegments(&firstError)
        if let firstError { throw firstError }
    }

    private func synchronizeFiles(_ firstError: inout BlobStoreError?) {
        let group = contents.withLock { $0.pending }
        var moved: Set<FilePath> = []
        for digest in group {
            do throws(BlobStoreError) {
                guard let blob = try openBlob(digest) else { continue }
                try blob.file.synchronize()
                if try promote(digest) { moved.insert(layout.fan(of: digest, below: layout.durableRoot)) }
            } catch .lost {
                continue
            } catch {
                switch error {
                case .file(.callFailed(_, let call, let code)): _ = lose(digest, .unreadable(call: call, code: code))
                case .file(.diskFull(_, let call)):
                    _ = lose(digest, .unreadable(call: call, code: .noSpace))
                    firstError = firstError ?? error
                default: firstError = firstError ?? error
                }
            }
        }
        for directory in moved {
            do throws(BlobStoreError) { try StoreDirectory.synchronize(directory) } catch {
                firstError = firstError ?? error
            }
        }
        do throws(BlobStoreError) { try synchronizeNewDirectories() } catch {
            firstError = firstError ?? error
        }
    }

    /// Also covers directories of other calls that are not durable yet, because a blob of this call may be in one.
    private func synchronizeNewDirectories() throws(BlobStoreError) {
        let (made, durable) = contents.withLock { ($0.directoriesMade, $0.directoriesDurable) }
        guard made > durable else { return }
        try StoreDirectory.synchronize(layout.durableRoot)
        contents.withLock { $0.directoriesDurable = max($0.directoriesDurable, made) }
    }

    private func promote(_ digest: BlobDigest) throws(BlobStoreError) -> Bool {
        try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) in
            guard contents.pending.contains(digest) else { return false }
            try StoreDirectory.rename(
                layout.pending(digest), to: layout.durable(digest),
                in: layout.fan(of: digest, below: layout.durableRoot), countingMade: &contents.directoriesMade)
            contents.promote(digest)
            return true
        }
    }

    /// Makes the records of all segments durable.
    func synchronizeSegments(_ firstError: inout BlobStoreError?) {
        let (group, newName) = contents.withLock { ($0.small.undurable, $0.small.undurableName) }
        for (number, byteCount) in group {
            do throws(BlobStoreError) {
                guard let file = try openSegment(number) else { continue }
                do throws(BlobStoreError) { try file.synchronize() } catch {
                    loseRecords(of: number, refused: error)
                    if case .file(.diskFull) = error { throw error }
                    continue
                }
                contents.withLock { $0.small.noteDurable(number, byteCount: byteCount) }
            } catch .lost {
                continue
            } catch {
                firstError = firstError ?? error
            }
        }
        guard let newName else { return }
        do throws(BlobStoreError) {
            try StoreDirectory.synchronize(layout.smallRoot)
            contents.withLock { $0.small.noteDurableNames(upTo: newName) }
        } catch {
            firstError = firstError ?? error
        }
    }

    /// Loses the blobs of a segment that are not durable, because the disk refused them.
    private func loseRecords(of number: Int, refused error: BlobStoreError) {
        let fault: BlobLoss.Fault
        switch error {
        case .file(.callFailed(_, let call, let code)): fault = .unreadable(call: call, code: code)
        default: fault = .unreadable(call: "fsync", code: .noSpace)
        }
        contents.withLock { contents in
            let durable = contents.small.segments[number]?.durableByteCount ?? 0
            for record in contents.records(inSegment: number, from: durable) {
                lose(record.digest, fault, in: &contents)
            }
            contents.small.noteRefused(number)
        }
    }
}
