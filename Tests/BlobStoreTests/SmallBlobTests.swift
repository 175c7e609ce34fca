import FileAccess
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

@testable import BlobStore

/// Blobs that share files.
struct SmallBlobTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    /// The names of the segments and their sizes.
    private func segments() throws -> [String: Int] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.appending("small"))
        return try Dictionary(
            uniqueKeysWithValues: names.map { name in
                let attributes = try FileManager.default.attributesOfItem(atPath: directory.appending("small/\(name)"))
                return (name, try #require(attributes[.size] as? Int))
            })
    }

    /// Bytes that differ for each number.
    private func content(_ number: Int, count: Int = 100) -> [UInt8] {
        var random = SplitMix64(seed: UInt64(number))
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private func read(_ digest: BlobDigest, _ count: Int, of store: BlobStore) throws(BlobStoreError) -> [UInt8] {
        let blob = try store.blob(digest, byteCount: count)
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try blob.read(at: 0, into: &raw)
        return bytes
    }

    /// The blobs that were lost, in no order.
    private func losses(_ count: Int, of store: BlobStore) async -> [BlobLoss] {
        var losses = store.losses.makeAsyncIterator()
        var found: [BlobLoss] = []
        while found.count < count, let loss = await losses.next() { found.append(loss) }
        return found
    }

    /// Makes the bytes the store's only segment.
    private func replaceSegments(with bytes: some Sequence<UInt8>) throws {
        try directory.remove("small")
        let small = directory.appending("small")
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: false)
        try directory.write(Array(bytes), to: "small/1")
    }

    /// Stores blobs of 100 bytes, and ends the store.
    private func storedBlobs(_ count: Int, isDurable: Bool = false) throws -> [BlobDigest] {
        let store = try BlobStore(opening: path)
        let digests = try (0..<count).map { try store.put(content($0).span.bytes) }
        if isDurable { try store.makeDurable() }
        return digests
    }

    @Test func `blobs of at most 4 KiB share a file, and larger ones have their own`() throws {
        let store = try BlobStore(opening: path)
        let small = try [0, 1, 100, 4096].map { try store.put(content(1, count: $0).span.bytes) }
        let large = try store.put(content(1, count: 4097).span.bytes)
        #expect(try segments() == ["1": 4 * 40 + 4197])
        for digest in small { #expect(store.path(of: digest) == path.appending("small/1")) }
        #expect(store.path(of: large) == path.appending("pending").appending("\(large)".prefix(2) + "/\(large)"))
        for (digest, count) in zip(small + [large], [0, 1, 100, 4096, 4097]) {
            #expect(try read(digest, count, of: store) == content(1, count: count))
            #expect(try store.verify(digest) == true)
        }
    }

    @Test func `a writer that passes 4 KiB goes on in a file`() throws {
        let store = try BlobStore(opening: path)
        let bytes = content(2, count: 10_000)
        for part in [1, 100, 4096, 4097, 9999] {
            let writer = store.beginWrite()
            for start in stride(from: 0, to: bytes.count, by: part) {
                try writer.append(bytes[start..<min(start + part, bytes.count)].span.bytes)
            }
            let digest = try writer.finish()
            #expect(digest == BlobDigest(hashing: bytes.span.bytes))
            #expect(try read(digest, bytes.count, of: store) == bytes)
            try store.remove(digest)
        }
        #expect(try segments() == [:])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.appending("incoming")) == [])
    }

    @Test(arguments: [true, false])
    func `blobs are there when the store is opened again, and the segment is continued`(isDurable: Bool) throws {
        let digests = try storedBlobs(50, isDurable: isDurable)
        let store = try BlobStore(opening: path)
        #expect(Set(store.digests) == Set(digests))
        #expect(store.bytesInUse == 5000)
        try store.put(content(50).span.bytes)
        #expect(try segments() == ["1": 51 * 140])
        for (number, digest) in digests.enumerated() {
            #expect(try read(digest, 100, of: store) == content(number))
        }
    }

    @Test func `a removed blob is gone, and its segment goes with the last one`() throws {
        let store = try BlobStore(opening: path)
        let digests = try (0..<300).map { try store.put(content($0, count: 4096).span.bytes) }
        #expect(try segments().keys.sorted() == ["1", "2"])
        for digest in digests.prefix(252) { #expect(try store.remove(digest)) }
        #expect(try segments().keys.sorted() == ["1", "2"])
        #expect(try store.remove(digests[252]))
        #expect(try store.remove(digests[252]) == false)
        #expect(try segments().keys.sorted() == ["2"])
        for digest in digests.dropFirst(253) { #expect(try store.remove(digest)) }
        #expect(store.bytesInUse == 0)
        try store.makeDurable()
        #expect(try segments() == [:])
        #expect(try store.put(content(0).span.bytes) == BlobDigest(hashing: content(0).span.bytes))
    }

    /// A segment can be removed while somebody reads one of its blobs.
    @Test func `reading goes on when the segment is removed`() throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(content(1).span.bytes)
        guard let blob = try store.openBlob(digest) else {
            Issue.record("the blob is not there")
            return
        }
        try store.remove(digest)
        try store.makeDurable()
        #expect(try segments() == [:])
        #expect(try blob.file.bytes(at: blob.start, count: 100) == content(1))
    }

    // MARK: - Damage

    @Test func `a segment that ends anywhere costs the blobs behind its end`() throws {
        let digests = try storedBlobs(3)
        let whole = try directory.read("small/1")
        for count in 0..<whole.count {
            try replaceSegments(with: whole.prefix(count))
            let store = try BlobStore(opening: path)
            #expect(Set(store.digests) == Set(digests.prefix(count / 140)))
            // What is added behind a torn record is found again.
            let added = try store.put(content(9).span.bytes)
            #expect(try read(added, 100, of: store) == content(9))
        }
    }

    @Test func `blobs behind a torn end are found at the next opening`() throws {
        let digests = try storedBlobs(3)
        let whole = try directory.read("small/1")
        for count in 141..<280 {
            try replaceSegments(with: whole.prefix(count))
            var added: BlobDigest?
            do {
                let store = try BlobStore(opening: path)
                added = try store.put(content(9).span.bytes)
            }
            let store = try BlobStore(opening: path)
            #expect(Set(store.digests) == [digests[0], try #require(added)])
        }
    }

    @Test func `a flipped byte costs at most the blob that it is in`() throws {
        let digests = try storedBlobs(3)
        let whole = try directory.read("small/1")
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 0xFF
            try replaceSegments(with: damaged)
            let store = try BlobStore(opening: path)
            var expected = Set(digests)
            expected.remove(digests[index / 140])
            #expect(Set(store.digests) == expected, "byte \(index)")
        }
    }

    @Test func `a damaged record that is found at the opening is told`() async throws {
        let digests = try storedBlobs(3)
        var damaged = try directory.read("small/1")
        damaged[200] ^= 1
        try directory.write(damaged, to: "small/1")
        let store = try BlobStore(opening: path)
        #expect(await losses(1, of: store).map(\.digest) == [digests[1]])
        #expect(try store.put(content(1).span.bytes) == digests[1])
        #expect(try read(digests[1], 100, of: store) == content(1))
    }

    @Test func `a blob that is damaged while the store is open is lost alone`() async throws {
        let store = try BlobStore(opening: path)
        let digests = try (0..<3).map { try store.put(content($0).span.bytes) }
        var bytes = try directory.read("small/1")
        bytes[200] ^= 1
        try directory.write(bytes, to: "small/1")
        #expect(throws: BlobStoreError.self) { try read(digests[1], 100, of: store) }
        #expect(Set(store.digests) == [digests[0], digests[2]])
        #expect(await losses(1, of: store).map(\.digest) == [digests[1]])
        #expect(try read(digests[2], 100, of: store) == content(2))
    }

    @Test func `a segment that was replaced costs the blobs in it, and no later ones`() throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(content(0).span.bytes)
        try directory.remove("small/1")
        try directory.write([UInt8](repeating: 0, count: 140), to: "small/1")
        #expect(throws: BlobStoreError.self) { try read(digest, 100, of: store) }
        #expect(try store.put(content(0).span.bytes) == digest)
        #expect(try read(digest, 100, of: store) == content(0))
    }

    /// What may become of a segment's file.
    enum Fate: CaseIterable {
        case vanished, directory, fullDirectory, link

        func inflict(on file: String) throws {
            try FileManager.default.removeItem(atPath: file)
            switch self {
            case .vanished: break
            case .directory, .fullDirectory:
                try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
                if self == .fullDirectory { try Data([1]).write(to: URL(fileURLWithPath: "\(file)/stranger")) }
            case .link: try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/nowhere")
            }
        }
    }

    @Test(arguments: Fate.allCases)
    func `a segment that is gone costs its blobs, which can be put again`(fate: Fate) async throws {
        let store = try BlobStore(opening: path)
        let digests = try (0..<300).map { try store.put(content($0, count: 4096).span.bytes) }
        // The last segment is the one that is written.
        for name in try segments().keys { try fate.inflict(on: directory.appending("small/\(name)")) }
        for digest in [digests[0], digests[299]] {
            #expect(throws: BlobStoreError.self) { try read(digest, 4096, of: store) }
        }
        #expect(store.digests == [])
        #expect(store.bytesInUse == 0)
        #expect(Set(await losses(300, of: store).compactMap(\.digest)) == Set(digests))
        for (number, digest) in digests.enumerated() {
            #expect(try store.put(content(number, count: 4096).span.bytes) == digest)
        }
        try store.makeDurable()
        for (number, digest) in digests.enumerated() {
            #expect(try read(digest, 4096, of: store) == content(number, count: 4096))
        }
    }

    @Test(arguments: Fate.allCases)
    func `a store opens without a segment, and one that is gone before it is durable is no failure`(
        fate: Fate
    ) throws {
        _ = try storedBlobs(3)
        try fate.inflict(on: directory.appending("small/1"))
        let store = try BlobStore(opening: path)
        #expect(store.digests == [])
        let digest = try store.put(content(0).span.bytes)
        try fate.inflict(on: try #require(store.path(of: digest)).string)
        try store.makeDurable()
        if fate == .vanished || fate == .link { #expect(store.digests == []) }
        #expect(throws: BlobStoreError.self) { try read(digest, 100, of: store) }
        #expect(try store.put(content(0).span.bytes) == digest)
        #expect(try read(digest, 100, of: store) == content(0))
    }

    @Test func `segments whose directory is gone are begun again`() throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(content(0).span.bytes)
        try directory.remove("small")
        #expect(throws: BlobStoreError.self) { try read(digest, 100, of: store) }
        #expect(try store.put(content(0).span.bytes) == digest)
        try directory.remove("small")
        try directory.write([1], to: "small")
        #expect(throws: BlobStoreError.self) { try read(digest, 100, of: store) }
        #expect(try store.put(content(0).span.bytes) == digest)
        try store.makeDurable()
        #expect(try read(digest, 100, of: store) == content(0))
    }

    @Test func `names that are no segments are left alone`() throws {
        _ = try storedBlobs(1)
        let names = ["notes", "01", "-1", "0", "2.damaged-7", "\(Int.max)"]
        for name in names { try directory.write([7], to: "small/\(name)") }
        let store = try BlobStore(opening: path)
        #expect(store.digests.count == 1)
        try store.put(content(1, count: 4096).span.bytes)
        for name in names { #expect(try directory.read("small/\(name)") == [7]) }
    }

    /// No record hides in another one, unless the outer one is damaged.
    @Test func `bytes that look like a record are only bytes`() throws {
        let inner = content(1)
        var record = RecordBuffer()
        record.append(inner.span.bytes)
        record.seal(as: BlobDigest(hashing: inner.span.bytes))
        do {
            let store = try BlobStore(opening: path)
            try store.put(record.bytes.span.bytes)
        }
        #expect(try BlobStore(opening: path).digests == [BlobDigest(hashing: record.bytes.span.bytes)])
        let marks = [[UInt8]](repeating: BlobRecord.mark, count: 1000).flatMap { $0 }
        #expect(SegmentScan(marks).whole == [])
    }

    @Test func `any bytes can be read as a segment`() {
        forEachSeed(in: 0..<200) { _, random in
            var record = RecordBuffer()
            record.append(content(3).span.bytes)
            record.seal(as: BlobDigest(hashing: content(3).span.bytes))
            let bytes = mutated(record.bytes + record.bytes + [0, 1, 2], &random)
            for found in SegmentScan(bytes).whole {
                let blob = Array(bytes[found.offset..<found.end])
                #expect(BlobDigest(hashing: blob.span.bytes) == found.digest)
            }
        }
    }
}
