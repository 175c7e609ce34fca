import FileAccess
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

@testable import BlobStore

/// The room that removed small blobs take.
struct SmallBlobCompactionTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    /// The bytes of all segments on the disk.
    private func segmentBytes() throws -> Int {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.appending("small"))
        return try names.reduce(0) { sum, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.appending("small/\(name)"))
            return try sum + #require(attributes[.size] as? Int)
        }
    }

    private func content(_ number: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 2000 + number % 2000)
            + withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private func requireBytes(_ content: [UInt8], _ digest: BlobDigest, of store: BlobStore) throws {
        let blob = try store.blob(digest, byteCount: content.count)
        var bytes = [UInt8](repeating: 0, count: content.count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try blob.read(at: 0, into: &raw)
        #expect(bytes == content)
    }

    /// The bound that ``SmallBlobs`` states.
    private func requireBound(_ model: [BlobDigest: Int]) throws {
        let live = model.values.reduce(0) { $0 + 40 + content($1).count }
        #expect(try segmentBytes() <= 4 * live + (2 << 20))
    }

    @Test func `a few blobs left in each segment are moved, and stay when the store is opened again`() throws {
        var model: [BlobDigest: Int] = [:]
        do {
            let store = try BlobStore(opening: path)
            for number in 0..<4000 { model[try store.put(content(number).span.bytes)] = number }
            let whole = try segmentBytes()
            try store.makeDurable()
            for (digest, number) in model where !number.isMultiple(of: 50) {
                try store.remove(digest)
                model[digest] = nil
            }
            #expect(try segmentBytes() < whole / 3)
            try requireBound(model)
            for (digest, number) in model { try requireBytes(content(number), digest, of: store) }
            #expect(store.bytesInUse == model.values.reduce(0) { $0 + content($1).count })
        }
        let store = try BlobStore(opening: path)
        #expect(Set(store.digests).isSuperset(of: model.keys))
        for (digest, number) in model { try requireBytes(content(number), digest, of: store) }
    }

    @Test func `blobs that cannot be read when their segment is moved are lost, and the others stay`() throws {
        let store = try BlobStore(opening: path)
        var model: [BlobDigest: Int] = [:]
        for number in 0..<2000 { model[try store.put(content(number).span.bytes)] = number }
        let kept = model.filter { $0.value.isMultiple(of: 100) }
        let damaged = try #require(kept.first { $0.value == 100 }?.key)
        let file = try #require(store.path(of: damaged)?.string)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let place = try #require(bytes.range(of: Data(content(100))))
        bytes[place.lowerBound + 5] ^= 1
        try bytes.write(to: URL(fileURLWithPath: file))
        for digest in model.keys where kept[digest] == nil { try store.remove(digest) }
        for (digest, number) in kept where digest != damaged { try requireBytes(content(number), digest, of: store) }
        #expect(throws: BlobStoreError.self) { try requireBytes(content(100), damaged, of: store) }
        #expect(store.digests.count == kept.count - 1)
    }

    /// The store is opened again now and then; blobs that were removed may then be back.
    @Test func `random puts, removals and openings keep what a model holds, within the bound`() throws {
        try forEachSeed(in: 0..<3) { _, random in
            let directory = try TemporaryDirectory()
            let test = Self(directory)
            var model: [BlobDigest: Int] = [:]
            var next = 0
            for _ in 0..<4 {
                let store = try BlobStore(opening: test.path)
                let found = Set(store.digests)
                #expect(found.isSuperset(of: model.keys))
                for digest in found where model[digest] == nil { try store.remove(digest) }
                try test.requireBound(model)
                for _ in 0..<3 {
                    for _ in 0..<Int.random(in: 0...1500, using: &random) {
                        model[try store.put(content(next).span.bytes)] = next
                        next += 1
                    }
                    let share = Int.random(in: 1...30, using: &random)
                    for digest in model.sorted(by: { $0.value < $1.value }).map(\.key)
                    where Int.random(in: 0..<share, using: &random) > 0 {
                        #expect(try store.remove(digest))
                        model[digest] = nil
                    }
                    try test.requireBound(model)
                    if Bool.random(using: &random) { try store.makeDurable() }
                    #expect(Set(store.digests) == Set(model.keys))
                }
                for (digest, number) in model { try requireBytes(content(number), digest, of: store) }
            }
        }
    }

    private init(_ directory: TemporaryDirectory) { self.directory = directory }

    @Test func `writers, readers, removers and a group commit may run at once`() async throws {
        let store = try BlobStore(opening: path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    for number in task * 1000..<(task + 1) * 1000 {
                        let digest = try store.put(content(number).span.bytes)
                        try requireBytes(content(number), digest, of: store)
                        if !number.isMultiple(of: 100) { try store.remove(digest) }
                        if number.isMultiple(of: 250) { try store.makeDurable() }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.digests.count == 40)
        for number in stride(from: 0, to: 4000, by: 100) {
            try requireBytes(content(number), BlobDigest(hashing: content(number).span.bytes), of: store)
        }
    }

    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `a full disk refuses a small blob, and the others stay`() throws {
        let disk = try TemporaryDisk(size: "4m")
        defer { disk.unmount() }
        let disked = Self(disk.directory)
        var model: [BlobDigest: Int] = [:]
        do {
            let store = try BlobStore(opening: disked.path)
            var failure: BlobStoreError?
            while failure == nil {
                let number = model.count
                do throws(BlobStoreError) {
                    model[try store.put(content(number).span.bytes)] = number
                } catch { failure = error }
            }
            guard case .file(.diskFull(_, "pwrite")) = failure else {
                Issue.record("expected diskFull, found \(String(describing: failure))")
                return
            }
            #expect(Set(store.digests) == Set(model.keys))
            for (digest, number) in model { try requireBytes(content(number), digest, of: store) }
            // The first segment's room comes back with its last blob.
            for (digest, number) in model where number < 700 {
                try store.remove(digest)
                model[digest] = nil
            }
            let number = 5000
            model[try TemporaryDisk.whenRoomIsBack { try store.put(content(number).span.bytes) }] = number
        }
        let store = try BlobStore(opening: disked.path)
        #expect(Set(store.digests).isSuperset(of: model.keys))
        for (digest, number) in model { try requireBytes(content(number), digest, of: store) }
    }
}
