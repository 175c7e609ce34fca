internal import Glibc

/// Aligned bytes to fill and then send without a copy.
///
/// Not copyable, so the writer is the only owner. `Frame(_:)` consumes the buffer, and then nothing can write.
public struct PayloadBuffer: ~Copyable, Sendable {
    let block: ByteBlock

    /// Allocates zeroed bytes.
    ///
    /// - Parameters:
    ///   - byteCount: the size, 0 or more.
    ///   - alignment: of the first byte, a power of two; 64 suits AVX-512 loads.
    /// - Throws: ``ZeroMQError/allocationFailed(byteCount:)``; a size read from a peer cannot trap here.
    public init(byteCount: Int, alignment: Int = 64) throws(ZeroMQError) {
        block = try ByteBlock(byteCount: byteCount, alignment: alignment)
        // Otherwise a partly filled buffer would send what the heap held before.
        unsafe block.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// The number of bytes.
    public var byteCount: Int { unsafe block.bytes.count }

    /// Lends the bytes for writing.
    ///
    /// - Throws: what `body` throws. What `body` wrote before stays.
    public mutating func withMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe block.withMutableBytes(body)
    }

    /// Lends the bytes for reading.
    ///
    /// - Throws: what `body` throws.
    public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { extendLifetime(block) }
        let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(block.bytes))
        return try body(span)
    }
}

/// One allocation, freed with the object.
@safe
final class ByteBlock: @unchecked Sendable {
    // @unchecked Sendable because only the unique PayloadBuffer writes, and a Frame only reads.
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int, alignment: Int) throws(ZeroMQError) {
        guard byteCount >= 0 else { throw .allocationFailed(byteCount: byteCount) }
        var start: UnsafeMutableRawPointer?
        // posix_memalign(3): the alignment must be a multiple of the size of a pointer.
        let alignment = max(alignment, MemoryLayout<Int>.alignment)
        guard unsafe posix_memalign(&start, alignment, max(byteCount, 1)) == 0, let start = unsafe start else {
            throw .allocationFailed(byteCount: byteCount)
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// Copies bytes that are already in memory; without memory the process ends, as with arrays.
    init(copying source: RawSpan) {
        unsafe bytes = .allocate(byteCount: source.byteCount, alignment: 16)
        unsafe source.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
    }

    /// Copies the bytes of several frames, one after the other.
    init(joining frames: [Frame]) {
        unsafe bytes = .allocate(byteCount: frames.reduce(0) { $0 + $1.byteCount }, alignment: 16)
        var place = 0
        for frame in frames {
            let end = place + frame.byteCount
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[place..<end]).copyMemory(from: frame.unsafeBytes)
            extendLifetime(frame.owner)
            place = end
        }
    }

    /// Lends the bytes for writing; unsafe because other holders of the block may be reading.
    ///
    /// - Throws: what `body` throws. What `body` wrote before stays.
    @unsafe
    func withMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe MutableRawSpan(_unsafeBytes: bytes)
        return try body(&span)
    }

    deinit {
        // Both allocators of this class use malloc's heap, so free(3) releases the block.
        unsafe free(bytes.baseAddress)
    }
}
