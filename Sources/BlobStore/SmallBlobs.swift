import FileAccess
import Glibc
import Identifiers
import SystemPackage

/// The segments of a store, where small blobs share files.
///
/// A file for each small blob costs more than its bytes: a file system searches a free file number, makes a name,
/// renames it and removes it. Here a blob costs one write at the end of the newest segment.
///
/// - A segment whose blobs are all removed is removed, except the newest one.
/// - **Bound:** the segments have at most four times the bytes of the records that are still wanted, and
///   ``spareByteCount`` more. Beyond it, ``beginCompaction()`` names the segment to be copied and removed.
///
/// The numbers of segments only grow, so that no number ever means two files.
struct SmallBlobs {
    private let root: FilePath
    /// By number.
    private(set) var segments: [Int: BlobSegment] = [:]
    private(set) var byteCount = 0
    private(set) var liveByteCount = 0
    private var newest = 0
    /// The newest segment whose name survives a power failure.
    private var newestDurable = 0
    private var open: OpenSegment?
    private var compacted: Int?
    /// The bytes beyond ``liveShare`` that start a compaction.
    private var spare = Self.spareByteCount

    /// The segment at whose end records are written.
    private final class OpenSegment: Sendable {
        let number: Int
        let file: StoreFile

        init(_ number: Int, _ file: consuming StoreFile) {
            self.number = number
            self.file = file
        }
    }

    static let liveShare = 4
    static let spareByteCount = 2 * BlobSegment.byteCountMax

    init(below root: FilePath) { self.root = root }

    func path(of number: Int) -> FilePath { FilePath("\(root.string)/\(number)") }

    // MARK: - Opening

    /// Counts a segment that an earlier process wrote, and the records of it that the store holds.
    mutating func restore(_ number: Int, byteCount: Int, liveByteCount: Int) {
        segments[number] = BlobSegment(byteCount: byteCount, liveByteCount: liveByteCount, mayBeDurable: true)
        self.byteCount += byteCount
        self.liveByteCount += liveByteCount
        skip(number)
    }

    /// Leaves out a number whose name is taken.
    mutating func skip(_ number: Int) {
        newest = max(newest, number)
        newestDurable = newest
    }

    /// Goes on with the newest segment if it has room, and removes the segments without blobs.
    mutating func resume() {
        for (number, segment) in segments where segment.liveByteCount == 0 { drop(number) }
        guard let segment = segments[newest], segment.byteCount < BlobSegment.byteCountMax,
            let file = try? StoreFile(opening: path(of: newest), flags: O_RDWR)
        else { return }
        open = OpenSegment(newest, file)
    }

    // MARK: - Writing

    /// Writes a record behind the others.
    ///
    /// - Returns: The segment, and the offset of the blob's bytes.
    /// - Throws: The failed call; what it wrote is overwritten by the next record.
    mutating func append(_ record: RecordBuffer) throws(BlobStoreError) -> (segment: Int, offset: Int) {
        let count = record.bytes.count
        let open = try segment(withRoomFor: count)
        let start = segments[open.number]?.byteCount ?? 0
        do throws(BlobStoreError) {
            try open.file.write(record.bytes.span.bytes, at: start)
        } catch {
            // On a full disk a part of the record may have taken the last room.
            do throws(BlobStoreError) { try open.file.resize(to: start) } catch { seal() }
            if case .file(.diskFull) = error {} else { seal() }
            throw error
        }
        segments[open.number]?.byteCount += count
        segments[open.number]?.liveByteCount += count
        byteCount += count
        liveByteCount += count
        return (open.number, start + BlobRecord.headerByteCount)
    }

    private mutating func segment(withRoomFor count: Int) throws(BlobStoreError) -> OpenSegment {
        if let open, let segment = segments[open.number], segment.byteCount + count <= BlobSegment.byteCountMax {
            return open
        }
        seal()
        let opened: OpenSegment
        do throws(BlobStoreError) {
            opened = try create()
        } catch {
            // Somebody may have removed the directory, or something else may have its name or the segment's.
            if !Directories.isDirectory(root) { StoreDirectory.discard(root) }
            try StoreDirectory.create(root)
            opened = try create()
        }
        segments[opened.number] = BlobSegment()
        open = opened
        return opened
    }

    private mutating func create() throws(BlobStoreError) -> OpenSegment {
        newest += 1
        return OpenSegment(newest, try StoreFile(creating: path(of: newest)))
    }

    /// Ends a segment in which something is wrong, so that no more blobs meet the same fault.
    mutating func seal(_ number: Int) {
        if open?.number == number { seal() }
    }

    /// Ends the newest segment; the next record begins another one.
    private mutating func seal() {
        guard let number = open?.number else { return }
        open = nil
        if segments[number]?.liveByteCount == 0 { drop(number) }
    }

    // MARK: - Removing

    /// Counts a blob's record as dead.
    mutating func forget(_ number: Int, blobByteCount: Int) {
        let count = BlobRecord.headerByteCount + blobByteCount
        segments[number]?.liveByteCount -= count
        liveByteCount -= count
        if segments[number]?.liveByteCount == 0, number != open?.number, number != compacted { drop(number) }
    }

    /// Removes a segment, whose blobs the store has forgotten or moved; reads in progress continue.
    mutating func drop(_ number: Int) {
        guard let segment = segments.removeValue(forKey: number) else { return }
        byteCount -= segment.byteCount
        liveByteCount -= segment.liveByteCount
        if open?.number == number { open = nil }
        StoreDirectory.discard(path(of: number))
    }

    /// Removes also the newest segment if it has only removed blobs.
    mutating func dropEmptied() {
        if let number = open?.number, segments[number]?.liveByteCount == 0 { drop(number) }
    }

    // MARK: - Compaction

    /// The segment whose blobs are moved next, because the segments have passed their bound; `nil` within the bound,
    /// and while another one is compacted.
    ///
    /// Beyond the bound less than a quarter of some sealed segment is live, so a move frees three times what it writes.
    mutating func beginCompaction() -> Int? {
        guard compacted == nil, excess > spare else { return nil }
        let sealed = segments.filter { $0.key != open?.number }
        compacted =
            sealed.min { left, right in
                left.value.liveByteCount * right.value.byteCount < right.value.liveByteCount * left.value.byteCount
            }?.key
        return compacted
    }

    private var excess: Int { byteCount - Self.liveShare * liveByteCount }

    /// Ends the compaction; a segment that was emptied is removed.
    ///
    /// After a failure, as on a full disk, the next attempt waits for more removals, because each reads a segment.
    mutating func endCompaction(hasEmptied: Bool) {
        guard let number = compacted else { return }
        compacted = nil
        spare = hasEmptied ? Self.spareByteCount : max(excess, 0) + BlobSegment.byteCountMax
        if segments[number]?.liveByteCount == 0 { drop(number) }
    }

    // MARK: - Durability

    /// The segments with records that a power failure may take, and how far each has come.
    var undurable: [(number: Int, byteCount: Int)] {
        segments.filter { $0.value.durableByteCount < $0.value.byteCount }.map { ($0.key, $0.value.byteCount) }
    }

    mutating func noteDurable(_ number: Int, byteCount: Int) {
        guard let known = segments[number]?.durableByteCount else { return }
        segments[number]?.durableByteCount = max(known, byteCount)
        segments[number]?.mayBeDurable = true
    }

    /// Ends a segment of which the disk refused bytes.
    mutating func noteRefused(_ number: Int) {
        if let byteCount = segments[number]?.byteCount { segments[number]?.durableByteCount = byteCount }
        seal(number)
    }

    /// The newest segment if its name is not durable yet.
    var undurableName: Int? { newest > newestDurable ? newest : nil }

    mutating func noteDurableNames(upTo number: Int) { newestDurable = max(newestDurable, number) }
}
