import Crypto
import Identifiers
import JobPlan
import LinearAlgebra
import ZeroMQ

/// What became of a unit: the boundary beyond which no error of a computation passes.
enum UnitOutcome: Sendable {
    /// Its outputs.
    case computed(UnitOutput)
    /// The input is wrong, on every worker.
    case badInput(String)
    /// The world failed; another attempt may succeed.
    case failed(String)

    /// A computed unit's blobs and numbers.
    struct UnitOutput: Sendable {
        var blobs: [ResultBlob] = []
        var measurements: [MeasurementName: [Double]] = [:]
    }
}

/// The bytes of one output, kept until the coordinator has stored them.
final class ResultBlob: Sendable {
    private enum Content: ~Copyable, Sendable {
        case single(PackedSymmetricMatrix<Float>)
        case double(PackedSymmetricMatrix<Double>)
        case bytes([UInt8])
    }

    private let content: Content
    /// The blob's name, computed at once: on the lane, where long work belongs.
    let reference: BlobReference

    /// A packed factor or inverse.
    init(_ matrix: consuming PackedSymmetricMatrix<Float>) {
        reference = matrix.withBytes(Self.reference)
        content = .single(matrix)
    }

    /// A packed partial sum.
    init(_ matrix: consuming PackedSymmetricMatrix<Double>) {
        reference = matrix.withBytes(Self.reference)
        content = .double(matrix)
    }

    /// A merged parameter.
    init(_ bytes: [UInt8]) {
        reference = Self.reference(bytes.span.bytes)
        content = .bytes(bytes)
    }

    /// SHA-256 of the bytes, and their number.
    private static func reference(_ bytes: RawSpan) -> BlobReference {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        let digest = BlobDigest(sha256: hash.finalize())
        return BlobReference(digest: digest, byteCount: UInt64(bytes.byteCount))
    }

    /// A copy of some of the bytes, as a frame: what is under way is bounded by the transfer's credit.
    func frame(_ range: Range<Int>) -> Frame {
        withBytes { Frame(copying: $0.extracting(range)) }
    }

    private func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
        switch content {
        case .single(let matrix): matrix.withBytes(body)
        case .double(let matrix): matrix.withBytes(body)
        case .bytes(let bytes): body(bytes.span.bytes)
        }
    }
}
