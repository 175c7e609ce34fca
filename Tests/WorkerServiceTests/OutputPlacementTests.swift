import BlobStore
import FileAccess
import Foundation
import Hashing
import Identifiers
import KroneckerFactors
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// Outputs that a worker writes into the staged files of its job.
@Suite(.timeLimit(.minutes(5)))
struct OutputPlacementTests {
    /// A staged file with a square and a vector, below a staging directory.
    private struct Staged {
        let writer: SafetensorsWriter
        let identity: SafetensorsWriter.StagedIdentity

        init(_ directory: TemporaryDirectory, dimension: Int = 3, elements: Int = 6) throws {
            let staging = FilePath(directory.appending(".kfacd-job-1-x"))
            _ = try Directories.create(staging, isDurable: false)
            writer = try SafetensorsWriter(
                staged: staging.appending("f.safetensors"),
                tensors: [
                    TensorDescription(name: "square", dataType: .float32, shape: [dimension, dimension]),
                    TensorDescription(name: "vector", dataType: .float32, shape: [elements]),
                ], metadata: [:], draft: [:])
            identity = try #require(writer.stagedIdentity)
        }

        func place(_ name: String, squareRows: Int? = nil) throws -> OutputPlace {
            OutputPlace(
                position: 0,
                file: LeasedFile(
                    path: identity.path.string, byteCount: UInt64(identity.byteCount),
                    headerDigest: BlobDigest(sha256: identity.headerDigest)),
                offset: UInt64(try #require(writer.fileOffset(of: name))), squareRows: squareRows)
        }

        func elements(_ name: String, count: Int) throws -> [Float] {
            let bytes = try SafetensorsFile(opening: identity.path).bytes(of: name, count: 4 * count)
            return (0..<count).map { index in
                bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4 * index, as: Float.self) }
            }
        }
    }

    /// Places a blob, as after a unit that wrote it in parts.
    private func placed(
        _ elements: [Float], at places: [OutputPlace], roots: FileRoots = .unlimited, triangleBytesMax: Int = .max,
        _ bench: Bench
    ) throws -> Checksum? {
        let placement = OutputPlacement(
            files: StagedFiles(roots: roots), cache: bench.cache, places: places,
            progress: UnitProgressCounter(unit: Bench.name), triangleBytesMax: triangleBytesMax, blockBytes: 1 << 19)
        return placement.place(try bench.put(elements), at: 0)
    }

    private func checksum(_ elements: [Float]) -> Checksum {
        var checksum = RunningChecksum()
        checksum.update(elements.span.bytes)
        return checksum.value
    }

    @Test func `a triangle fills its square, and a vector stays as it is`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory)
            let square: [Float] = [1, 2, 4, 2, 3, 5, 4, 5, 6]
            let vector: [Float] = [1, 2, 3, 4, 5, 6]
            #expect(try placed(vector, at: [try staged.place("square", squareRows: 3)], bench) == checksum(square))
            #expect(try placed(vector, at: [try staged.place("vector")], bench) == checksum(vector))
            #expect(try staged.elements("square", count: 9) == square)
            #expect(try staged.elements("vector", count: 6) == vector)
        }
    }

    @Test(arguments: [Int.max, 1 << 20])
    func `the pieces of a large triangle meet without a seam`(triangleBytesMax: Int) async throws {
        try await Bench.run { bench in
            let dimension = 1600
            let staged = try Staged(bench.directory, dimension: dimension)
            let elements = (0..<dimension).flatMap { row in (0...row).map { Float(row * 7 + $0) } }
            let found = try placed(
                elements, at: [try staged.place("square", squareRows: dimension)], triangleBytesMax: triangleBytesMax,
                bench)
            let square = (0..<dimension).flatMap { row in
                (0..<dimension).map { Float(max(row, $0) * 7 + min(row, $0)) }
            }
            #expect(found == checksum(square))
            #expect(try staged.elements("square", count: dimension * dimension) == square)
        }
    }

    @Test(arguments: [false, true])
    func `an inverse goes from memory into its place, and is stored for its readers`(isOnlyCopy: Bool) async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory, dimension: 2)
            var place = try staged.place("square", squareRows: 2)
            place.isOnlyCopy = isOnlyCopy
            // The inverse of [[2, 0], [0, 4]].
            let unit = BenchUnit(
                InvertOperation(shape: .full(2), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 0)),
                reading: [try bench.put([2, 0, 4] as [Float])])
            let result = try await bench.result(unit, places: [place])
            let square = try staged.elements("square", count: 4)
            #expect(square == [0.5, 0, 0, 0.25])
            // A zero may have either sign.
            #expect(result.placed == [0: checksum(square)])
            let triangle = [square[0], square[2], square[3]]
            let blob = try #require(result.blob(at: 0))
            #expect(blob.digest == BlobDigest(hashing: triangle.span.bytes))
            #expect(bench.cache.held.contains(blob) == !isOnlyCopy)
        }
    }

    @Test func `what cannot be placed is stored, although nobody else reads it`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory, dimension: 2)
            var place = try staged.place("square", squareRows: 2)
            place.isOnlyCopy = true
            place.file.headerDigest = BlobDigest(hashing: [UInt8]("other".utf8).span.bytes)
            let unit = BenchUnit(
                InvertOperation(shape: .full(2), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 0)),
                reading: [try bench.put([2, 0, 4] as [Float])])
            let result = try await bench.result(unit, places: [place])
            #expect(result.placed == nil)
            #expect(bench.cache.held.contains(try #require(result.blob(at: 0))))
        }
    }

    @Test(arguments: [Int.max, 1 << 20])
    func `a blob that was damaged since it was made does not stand in its place`(triangleBytesMax: Int) async throws {
        try await Bench.run { bench in
            let dimension = 1600
            let staged = try Staged(bench.directory, dimension: dimension)
            let elements = (0..<dimension * (dimension + 1) / 2).map { Float($0) }
            let blob = try bench.put(elements)
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: bench.cache.path(of: blob.digest).string))
            try file.seek(toOffset: 4 * 17)
            try file.write(contentsOf: Data([1]))
            let placement = OutputPlacement(
                files: StagedFiles(roots: .unlimited), cache: bench.cache,
                places: [try staged.place("square", squareRows: dimension)],
                progress: UnitProgressCounter(unit: Bench.name), triangleBytesMax: triangleBytesMax)
            #expect(placement.place(blob, at: 0) == nil)
            #expect(!bench.cache.held.contains(blob))
        }
    }

    @Test func `another object at the same path is left alone`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory)
            var otherHeader = try staged.place("vector")
            otherHeader.file.headerDigest = BlobDigest(hashing: [UInt8]("other".utf8).span.bytes)
            var otherSize = try staged.place("vector")
            otherSize.file.byteCount += 1
            for place in [otherHeader, otherSize] {
                #expect(try placed([1, 2, 3, 4, 5, 6], at: [place], bench) == nil)
            }
            // One of two places is not enough.
            let places = [try staged.place("vector"), otherSize]
            #expect(try placed([1, 2, 3, 4, 5, 6], at: places, bench) == nil)
        }
    }

    @Test func `only staged files below the roots are written`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory)
            let roots = try FileRoots([FilePath(bench.directory.appending("cache"))])
            #expect(try placed([1, 2, 3, 4, 5, 6], at: [try staged.place("vector")], roots: roots, bench) == nil)
            #expect(try staged.elements("vector", count: 6) == [0, 0, 0, 0, 0, 0])
            // A lease cannot make a worker write into another file, though it has the stated size and header.
            for name in [".kfacd-job-1-x/model.safetensors", ".f.safetensors.staged"] {
                let other = bench.directory.appending(name)
                try FileManager.default.copyItem(atPath: staged.identity.path.string, toPath: other)
                var place = try staged.place("vector")
                place.file.path = other
                #expect(try placed([1, 2, 3, 4, 5, 6], at: [place], bench) == nil)
            }
        }
    }

    @Test func `a blob of another size than its place is not written`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory)
            #expect(try placed([1, 2, 3], at: [try staged.place("square", squareRows: 3)], bench) == nil)
            #expect(try placed([Float](repeating: 1, count: 7), at: [try staged.place("vector")], bench) == nil)
        }
    }
}
