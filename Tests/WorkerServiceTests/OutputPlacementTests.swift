import BlobStore
import FileAccess
import Foundation
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
            var elements = [Float](repeating: -1, count: count)
            var span = elements.mutableSpan
            var bytes = span.mutableBytes
            try writer.read(name, at: 0, into: &bytes)
            return elements
        }
    }

    private func placed(
        _ elements: [Float], at places: [OutputPlace], roots: FileRoots = .unlimited, mirroring: Int = .max,
        _ bench: Bench
    ) throws -> Set<Int>? {
        var lease = bench.lease(
            BenchUnit(
                InvertOperation(
                    shape: .full(2), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 0)),
                reading: []))
        lease.places = places
        let placement = OutputPlacement(
            files: StagedFiles(roots: roots), cache: bench.cache,
            progress: UnitProgressCounter(unit: Bench.name), mirroredBytesMax: mirroring)
        return placement.place(UnitResult(blobs: [try bench.put(elements)]), of: lease)
    }

    @Test func `a triangle fills its square, and a vector stays as it is`() async throws {
        try await Bench.run { bench in
            let staged = try Staged(bench.directory)
            let places = [try staged.place("square", squareRows: 3), try staged.place("vector")]
            let placed = try placed([1, 2, 3, 4, 5, 6], at: places, bench)
            #expect(placed == [0])
            #expect(try staged.elements("square", count: 9) == [1, 2, 4, 2, 3, 5, 4, 5, 6])
            #expect(try staged.elements("vector", count: 6) == [1, 2, 3, 4, 5, 6])
        }
    }

    @Test(arguments: [Int.max, 1 << 20])
    func `the pieces of a large triangle meet without a seam`(mirroredBytesMax: Int) async throws {
        try await Bench.run { bench in
            // More than two pieces of 4 MiB.
            let dimension = 1600
            let staged = try Staged(bench.directory, dimension: dimension)
            let elements = (0..<dimension).flatMap { row in (0...row).map { Float(row * 7 + $0) } }
            _ = try placed(
                elements, at: [try staged.place("square", squareRows: dimension)], mirroring: mirroredBytesMax, bench)
            let isMirrored = mirroredBytesMax == .max
            let square = try staged.elements("square", count: dimension * dimension)
            let isRight = (0..<dimension).allSatisfy { row in
                (0..<dimension).allSatisfy { column in
                    let upper = isMirrored ? Float(column * 7 + row) : 0
                    return square[row * dimension + column] == (column > row ? upper : Float(row * 7 + column))
                }
            }
            #expect(isRight)
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
