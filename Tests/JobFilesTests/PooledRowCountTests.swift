import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// The rows that a factor file states beside pooled positions, against the ones of biases.
struct PooledRowCountTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Two samples of 3 and 2 rows in two buckets: 2 and 1, and 0 and 2.
    ///
    /// The input of every row is 2.
    private static let rows: [[Float]] = [[2, 1, 2, 1].scaled([2, 1]), [0, 0, 2, 1].scaled([0, 2])]
    private static let squares: [Float] = [5, 7.5]

    private func problem(rows: String, rank: Int = 2, bias: Bool = true) throws -> String? {
        let elements = Self.rows.prefix(rank).flatMap { $0.map { $0 / Float(2).squareRoot() } }
        let path = try directory.write(
            "factors.safetensors",
            [
                "format": "kfacd.factors/1", "task": "t", "samples": "2", "rows": rows, "normalization": "expand",
                "bias": "{\"l\":\(bias)}",
                "joint_rows": "{\"ranks\":{\"inputs\":\(rank),\"gradients\":1},\"kept\":{\"inputs\":1,\"gradients\":1},"
                    + "\"buckets\":{\"codebook\":\"c\",\"layers\":[\"l\"]}}",
            ],
            [
                TestTensor("l.A", [2, 2]) { [4, 2, 2, 1][$0] }, TestTensor("l.B", [1, 1]) { _ in 1 },
                TestTensor("l.gradient_rows", [1, 2, 1]) { _ in 0 }, TestTensor("l.gradient_squares", [2]) { _ in 0.5 },
                TestTensor("l.input_rows", [rank, 2, 2]) { elements[$0] },
                TestTensor("l.input_squares", [2]) { Self.squares[$0] },
            ])
        let set = try CurvatureSet(opening: path, as: .factors)
        let metadata = try FactorsMetadata(parsing: set.tensors.metadata, file: path)
        return try PooledRowCounts(set, metadata)?.problem()?.replacing("\(directory.path)/", with: "")
    }

    @Test func `all rows tell the number exactly`() throws {
        #expect(try problem(rows: "5") == nil)
        for (rows, stated) in [("4", "2.0"), ("6", "3.0")] {
            let found = try #require(try problem(rows: rows))
            #expect(found.hasPrefix("factors.safetensors: layer \"l\" has \(stated) rows of a sample"))
            #expect(found.contains("expected 2.5") || found.contains("expected 2.4999"), "\(found)")
        }
    }

    /// The first sample's row holds 3 / 2 rows, and the mean squares 12.5.
    @Test func `some rows and the mean squares bound it`() throws {
        #expect(try problem(rows: "5", rank: 1) == nil)
        #expect(try problem(rows: "4", rank: 1) == nil)
        let less = try #require(try problem(rows: "2", rank: 1))
        #expect(less.contains(" has 1.0 rows of a sample"), "\(less)")
        let more = try #require(try problem(rows: "26", rank: 1))
        #expect(more.contains(" has 13.0 rows of a sample") && more.contains(" to 12.5, as"), "\(more)")
    }

    @Test func `without a bias nothing tells it`() throws {
        #expect(try problem(rows: "26", bias: false) == nil)
    }
}

extension [Float] {
    /// The root of a bucket's number of rows times its two elements.
    fileprivate func scaled(_ counts: [Float]) -> [Float] {
        indices.map { self[$0] * counts[$0 / 2].squareRoot() }
    }
}
