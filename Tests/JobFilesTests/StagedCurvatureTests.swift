import Foundation
import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Matrices of a staged file that another process has written.
@Suite struct StagedCurvatureTests {
    /// What stands in a square's place before it is completed.
    enum Present: CaseIterable {
        case square, lowerHalf, damagedUpperHalf

        func element(_ row: Int, _ column: Int) -> Float {
            guard column > row else { return StagedCurvatureTests.element(row, column) }
            switch self {
            case .square: return StagedCurvatureTests.element(row, column)
            case .lowerHalf: return 0
            case .damagedUpperHalf: return column == row + 1 ? .nan : StagedCurvatureTests.element(row, column)
            }
        }
    }

    private static let dimension = 5

    /// Each element of the symmetric matrix encodes its position.
    static func element(_ row: Int, _ column: Int) -> Float { Float(10 * max(row, column) + min(row, column)) }

    @Test(arguments: Present.allCases)
    func `a square has both halves when it is completed, whoever wrote them`(present: Present) throws {
        let directory = try TemporaryDirectory()
        let name = CurvatureTensorName(owner: "fc", side: .input)
        let shape = SymmetricShape.full(Self.dimension)
        let writer = try CurvatureWriter(
            directory: FilePath(directory.path), kind: .factors, entries: [.init(name, shape: shape)], metadata: [:],
            draft: [:])
        let place = try #require(try writer.place(of: name, shape))
        let elements = (0..<Self.dimension).flatMap { row in
            (0..<Self.dimension).map { present.element(row, $0) }
        }
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: place.file.path.string))
        try file.seek(toOffset: UInt64(place.offset))
        try file.write(contentsOf: elements.withUnsafeBytes { Data($0) })
        let matrix = try writer.readBack(name, shape)
        let read = matrix.elements
        #expect(
            read == (0..<Self.dimension).flatMap { row in (0...row).map { Self.element(row, $0) } })
        try writer.complete(matrix, in: name)
        try writer.finish()
        let data = try Data(contentsOf: URL(fileURLWithPath: directory.appending("factors.safetensors")))
        let bytes = data.suffix(4 * Self.dimension * Self.dimension)
        let found = bytes.withUnsafeBytes { bytes in
            (0..<Self.dimension * Self.dimension).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        #expect(
            found == (0..<Self.dimension).flatMap { row in (0..<Self.dimension).map { Self.element(row, $0) } })
    }
}
