import BlobStore
import Safetensors
import WireProtocol

/// The source of a transfer to a worker: an input file, or a blob that the transfer itself proves.
enum OutgoingBytes {
    case file(SafetensorsFile)
    case blob(VerifiedBlob)

    /// The bytes that a request names; `nil` when there are none.
    ///
    /// A whole blob is read and verified before a part of it is sent, because a part proves nothing.
    ///
    /// - Throws: `BlobStoreError` for a lost blob.
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
                // The blob may have been cut on the disk.
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
    /// - Throws: `SafetensorsError` or `BlobStoreError`. A damaged blob throws with its last bytes at the latest, so
    ///   that its receiver never has it complete.
    func read(at offset: Int, into destination: inout MutableRawSpan) throws {
        switch self {
        case .file(let file): try file.read(fromFileOffset: offset, into: &destination)
        case .blob(let blob): try blob.read(at: offset, into: &destination)
        }
    }
}
