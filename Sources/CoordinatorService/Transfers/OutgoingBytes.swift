import BlobStore
import Safetensors
import WireProtocol

/// What a transfer to a worker reads from: an input file, or a blob that is proved by the same pass.
enum OutgoingBytes {
    case file(SafetensorsFile)
    case blob(VerifiedBlob)

    /// What a request is about; `nil` when there are no such bytes.
    ///
    /// A part of a blob is sent after the whole has been read once: the bytes of a part prove nothing.
    ///
    /// - Throws: `BlobStoreError` for a blob that is lost.
    init?(_ range: RangeRequest, _ file: SafetensorsFile?, _ store: BlobStore) throws(BlobStoreError) {
        let end = range.offset.addingReportingOverflow(range.byteCount)
        guard !end.overflow else { return nil }
        switch range.source {
        case .inputFile:
            guard let file, end.partialValue <= UInt64(file.identity.byteCount) else { return nil }
            self = .file(file)
        case .blob(let digest):
            guard let byteCount = store.byteCount(of: digest) else { return nil }
            guard end.partialValue <= UInt64(byteCount) else {
                // It may have been cut on the disk.
                try store.verify(digest)
                return nil
            }
            let blob = try store.blob(digest, byteCount: byteCount)
            if range.offset > 0 || range.byteCount < UInt64(byteCount) { try blob.verify() }
            self = .blob(blob)
        }
    }

    /// Fills `destination` with the bytes from `offset` on.
    ///
    /// - Throws: `SafetensorsError` or `BlobStoreError`; the latter also with the last bytes of a blob that is damaged,
    ///   so that its receiver never has it whole.
    func read(at offset: Int, into destination: inout MutableRawSpan) throws {
        switch self {
        case .file(let file): try file.read(fromFileOffset: offset, into: &destination)
        case .blob(let blob): try blob.read(at: offset, into: &destination)
        }
    }
}
