import FileAccess
import Identifiers
import PushedRuns

/// A small file of partial sums, written byte by byte.
struct PartialsBytes {
    var run = "monday"
    var rank = 0
    var sequence = 0
    /// Whether `fc.A` is a diagonal.
    var isDiagonal = false
    /// The packed triangles of `fc.A` (3 × 3) and `fc.B` (2 × 2), or the diagonal of A and the triangle of B.
    var elements: [Double] = [1, 0, 1, 0, 0, 1, 2, 0, 2]

    /// The bytes of the file.
    var bytes: [UInt8] {
        let metadata = [
            ("format", "kfacd.partials/1"), ("task", "alpha"), ("run", run), ("rank", "\(rank)"),
            ("sequence", "\(sequence)"), ("rows", "4"), ("samples", "2"), ("probes", "1"), ("normalization", "tak"),
            ("bias", #"{\"fc\":false}"#), ("diagonal", isDiagonal ? #"[\"fc.A\"]"# : "[]"),
        ].map { "\"\($0)\":\"\($1)\"" }.joined(separator: ",")
        let count = isDiagonal ? 3 : 6
        let header =
            "{\"__metadata__\":{\(metadata)},"
            + "\"fc.A\":{\"dtype\":\"F64\",\"shape\":[\(count)],\"data_offsets\":[0,\(8 * count)]},"
            + "\"fc.B\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[\(8 * count),\(8 * count + 24)]}}"
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
        let data = elements.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
        return length + Array(header.utf8) + data
    }

    /// The announcement of the file.
    var part: PushedPart {
        PushedPart(
            run: RunName(rawValue: run), place: PartialsPlace(rank: rank, sequence: sequence),
            content: Self.reference(bytes))
    }

    static func reference(_ bytes: [UInt8]) -> BlobReference {
        BlobReference(digest: BlobDigest(sha256: FileDigest.sha256(of: bytes)), byteCount: UInt64(bytes.count))
    }
}
