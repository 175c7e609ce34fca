import BlobStore
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

/// What a store makes of blobs that are not as it left them.
struct DamagedBlobTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }
    /// Larger than one range of ``pass(_:)``.
    private let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    init() throws { directory = try TemporaryDirectory() }

    /// The ways in which a file stops being the blob that it was.
    enum Damage: CaseIterable {
        case flippedFirst, flippedLast, cut, grown, emptied, removed, directory, fullDirectory, link

        func inflict(on file: String) throws {
            let url = URL(fileURLWithPath: file)
            var data = try Data(contentsOf: url)
            switch self {
            case .flippedFirst: data[0] ^= 1
            case .flippedLast: data[data.count - 1] ^= 0x80
            case .cut: data = data.prefix(data.count / 2)
            case .grown: data += [0]
            case .emptied: data = Data()
            case .removed, .directory, .fullDirectory, .link:
                try FileManager.default.removeItem(at: url)
                if self == .removed { return }
                if self == .link {
                    return try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/nowhere")
                }
                try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
                if self == .fullDirectory { try Data([1]).write(to: url.appendingPathComponent("stranger")) }
                return
            }
            try data.write(to: url)
        }
    }

    private func pass(_ blob: VerifiedBlob) throws(BlobStoreError) -> [UInt8] {
        var all: [UInt8] = []
        for start in stride(from: 0, to: blob.byteCount, by: 2048) {
            var part = [UInt8](repeating: 0, count: min(2048, blob.byteCount - start))
            var span = part.mutableSpan
            var raw = span.mutableBytes
            try blob.read(at: start, into: &raw)
            all += part
        }
        return all
    }

    private func read(_ digest: BlobDigest, of store: BlobStore) throws(BlobStoreError) -> [UInt8] {
        try pass(try store.blob(digest, byteCount: bytes.count))
    }

    @Test(arguments: Damage.allCases, [false, true])
    func `a damaged blob is lost, told, and can be put again`(damage: Damage, isDurable: Bool) async throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(bytes.span.bytes)
        if isDurable { try store.makeDurable() }
        let file = try #require(store.path(of: digest)?.string)
        try damage.inflict(on: file)
        // What has grown holds the blob's bytes: nobody reads more than these.
        guard damage != .grown else { return }
        var lost: BlobDigest?
        do throws(BlobStoreError) { _ = try read(digest, of: store) } catch { lost = error.lostBlob }
        #expect(lost == digest)
        #expect(!store.contains(digest))
        #expect(store.bytesInUse == 0)
        var losses = store.losses.makeAsyncIterator()
        #expect(await losses.next()?.digest == digest)
        #expect(try store.put(bytes.span.bytes) == digest)
        try store.makeDurable()
        #expect(try read(digest, of: store) == bytes)
    }

    @Test(arguments: Damage.allCases, [false, true])
    func `a store opens whatever became of its blobs`(damage: Damage, isDurable: Bool) throws {
        var file = ""
        var digest: BlobDigest?
        do {
            let store = try BlobStore(opening: path)
            digest = try store.put(bytes.span.bytes)
            if isDurable { try store.makeDurable() }
            file = try #require(store.path(of: digest!)?.string)
        }
        try damage.inflict(on: file)
        let name = try #require(digest)
        let store = try BlobStore(opening: path)
        do throws(BlobStoreError) {
            _ = try read(name, of: store)
            Issue.record("the damage was not noticed")
        } catch {
            #expect(error.lostBlob == name)
        }
        #expect(try store.put(bytes.span.bytes) == name)
        #expect(try read(name, of: store) == bytes)
    }

    @Test(arguments: ["durable", "pending", "incoming", "small", "durable/ab", "small/1", "format"])
    func `something else in the place of a part of the store is set aside`(part: String) throws {
        do { _ = try BlobStore(opening: path) }
        try? FileManager.default.removeItem(atPath: directory.appending(part))
        try directory.write(Array("stranger".utf8), to: part)
        let store = try BlobStore(opening: path)
        let digest = try store.put(bytes.span.bytes)
        let small = try store.put(Array("abc".utf8).span.bytes)
        try store.makeDurable()
        #expect(try read(digest, of: store) == bytes)
        #expect(try store.verify(small) == true)
    }

    @Test func `what is gone before it is durable is lost, and no failure`() throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(bytes.span.bytes)
        let other = try store.put(Array("abc".utf8).span.bytes)
        try FileManager.default.removeItem(atPath: try #require(store.path(of: digest)?.string))
        try store.makeDurable()
        #expect(store.digests == [other])
    }

    @Test func `ranges out of order are proved by reading all`() throws {
        let store = try BlobStore(opening: path)
        let digest = try store.put(bytes.span.bytes)
        let blob = try store.blob(digest, byteCount: bytes.count)
        var part = [UInt8](repeating: 0, count: 10)
        var span = part.mutableSpan
        var raw = span.mutableBytes
        try blob.read(at: 100, into: &raw)
        #expect(try blob.verify())
        try Damage.flippedLast.inflict(on: try #require(store.path(of: digest)?.string))
        var again = [UInt8](repeating: 0, count: 10)
        var againSpan = again.mutableSpan
        var againRaw = againSpan.mutableBytes
        try blob.read(at: 100, into: &againRaw)
        #expect(throws: BlobStoreError.self) { try blob.verify() }
        #expect(!store.contains(digest))
        _ = (part, again)
    }

    // MARK: - Versions

    @Test func `a store states its version, and one that states none is of the first`() throws {
        do { _ = try BlobStore(opening: path) }
        #expect(try directory.read("format") == Array("kfacd.blobs/1\n".utf8))
        try FileManager.default.removeItem(atPath: directory.appending("format"))
        do { _ = try BlobStore(opening: path) }
        #expect(try directory.read("format") == Array("kfacd.blobs/1\n".utf8))
    }

    @Test func `a store of a later version is refused with both versions`() throws {
        try directory.write(Array("kfacd.blobs/2\n".utf8), to: "format")
        let problem = FormatProblem.newer(FormatVersion("kfacd.blobs", 2), expected: .blobs)
        #expect(throws: BlobStoreError.format(directory: path, problem)) { try BlobStore(opening: path) }
        #expect(
            BlobStoreError.format(directory: path, problem).description
                == "\(path): the directory of blobs is of the format \"kfacd.blobs/2\", which a later version of kfacd "
                + "wrote; this one reads \"kfacd.blobs/1\". Use the version that wrote it, or a later one.")
    }

    @Test func `another program's directory is refused`() throws {
        try directory.write(Array("other/1\n".utf8), to: "format")
        #expect(
            throws: BlobStoreError.format(
                directory: path, .otherFormat(FormatVersion("other", 1), expected: .blobs))
        ) { try BlobStore(opening: path) }
    }
}
