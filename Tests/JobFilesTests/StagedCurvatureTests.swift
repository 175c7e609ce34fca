import Foundation
import Hashing
import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Matrices of a staged file that another process has written.
@Suite struct StagedCurvatureTests {
    private let elements: [Float] = [1, 2, 4, 2, 3, 5, 4, 5, 6]
    private let directory: TemporaryDirectory
    private let writer: CurvatureWriter
    private let input = CurvatureTensorName(owner: "fc", side: .input)
    private let output = CurvatureTensorName(owner: "fc", side: .gradient)

    init() throws {
        directory = try TemporaryDirectory()
        writer = try CurvatureWriter(
            directory: FilePath(directory.path), kind: .factors,
            entries: [.init(input, dimension: 3), .init(output, dimension: 3)], metadata: [:], draft: [:])
    }

    /// Writes a square as another process does, which knows the place only.
    private func write(_ elements: [Float], _ name: CurvatureTensorName) throws {
        let place = try #require(try writer.place(of: name, .full(3)))
        #expect(place.squareRows == 3)
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: place.file.path.string))
        try file.seek(toOffset: UInt64(place.offset))
        try file.write(contentsOf: elements.withUnsafeBytes { Data($0) })
    }

    private func checksum() -> Checksum {
        var checksum = RunningChecksum()
        checksum.update(elements.span.bytes)
        return checksum.value
    }

    @Test func `a square that another process wrote stands beside one that is mirrored here`() throws {
        try write(elements, input)
        try writer.noteWritten(input.name, checksum())
        try writer.write(try PackedSymmetricMatrix(dimension: 3, elements: [1, 2, 3, 4, 5, 6]), to: output)
        #expect(try writer.prove() == [])
        try writer.finish()
        let data = try Data(contentsOf: URL(fileURLWithPath: directory.appending("factors.safetensors")))
        let expected = (elements + elements).withUnsafeBytes { Data($0) }
        #expect(data.suffix(expected.count) == expected)
    }

    @Test func `a square that has changed since is named, and no file appears`() throws {
        for name in [input, output] { try writer.noteWritten(name.name, checksum()) }
        try write(elements, input)
        try write([1, 2, 4, 2, 3, 5, 4, 5, 7], output)
        #expect(try writer.prove() == [output.name])
        #expect(throws: JobFileError.self) { try writer.finish() }
        #expect(!FileManager.default.fileExists(atPath: directory.appending("factors.safetensors")))
    }
}
