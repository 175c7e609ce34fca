internal import Glibc

/// One part of a message: immutable bytes that travel without being copied.
///
/// A frame holds the object that owns its bytes. While libzmq sends, it holds that object too, and then releases it
/// once.
@safe
public struct Frame: @unchecked Sendable {
    // @unchecked Sendable because the bytes are never written after init and `owner`, itself Sendable, keeps them.
    let unsafeBytes: UnsafeRawBufferPointer
    let owner: any AnyObject & Sendable

    /// Copies an array.
    public init(_ bytes: [UInt8]) {
        unsafe self.init(copying: bytes.span.bytes)
    }

    /// Copies the UTF-8 bytes of a text.
    public init(_ text: String) {
        self.init(Array(text.utf8))
    }

    /// Copies bytes.
    public init(copying bytes: RawSpan) {
        let block = ByteBlock(copying: bytes)
        unsafe self.init(owner: block, unsafeBytes: UnsafeRawBufferPointer(block.bytes))
    }

    /// Copies the bytes of several frames, one after the other.
    init(joining frames: [Frame]) {
        let block = ByteBlock(joining: frames)
        unsafe self.init(owner: block, unsafeBytes: UnsafeRawBufferPointer(block.bytes))
    }

    /// Takes over a payload without a copy.
    public init(_ payload: consuming PayloadBuffer) {
        let block = payload.block
        unsafe self.init(owner: block, unsafeBytes: UnsafeRawBufferPointer(block.bytes))
    }

    /// Refers to bytes that another object owns, without a copy.
    ///
    /// Unsafe because the frame outlives the span: `bytes` must stay at their address, unchanged, while `owner` lives.
    /// Possible owners: a mapped file, a matrix that is no longer written, a received frame of another library.
    ///
    /// - Parameters:
    ///   - owner: the frame retains it, and so does libzmq until it has sent or dropped the frame.
    ///   - bytes: memory that `owner` releases no earlier than in its deinit.
    @unsafe
    public init(owner: some AnyObject & Sendable, bytes: RawSpan) {
        let escaped = unsafe bytes.withUnsafeBytes { unsafe $0 }
        unsafe self.init(owner: owner, unsafeBytes: escaped)
    }

    init(owner: any AnyObject & Sendable, unsafeBytes: UnsafeRawBufferPointer) {
        self.owner = owner
        unsafe self.unsafeBytes = unsafeBytes
    }

    /// The number of bytes.
    public var byteCount: Int { unsafe unsafeBytes.count }

    /// Lends the bytes for the length of a call, without a copy.
    ///
    /// - Throws: what `body` throws.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { extendLifetime(owner) }
        let span = unsafe RawSpan(_unsafeBytes: unsafeBytes)
        return try body(span)
    }

    /// Copies the bytes into an array.
    public func copyBytes() -> [UInt8] {
        defer { extendLifetime(owner) }
        return unsafe Array(unsafeBytes)
    }

    /// Copies all bytes into a buffer, starting at `offset`.
    ///
    /// - Parameters:
    ///   - destination: the buffer; bytes outside the copied range do not change.
    ///   - offset: The place of the first byte in `destination`.
    /// - Returns: Whether the bytes were copied. When they do not fit, nothing is copied.
    public func copy(into destination: inout MutableRawSpan, at offset: Int) -> Bool {
        guard offset >= 0, offset <= destination.byteCount, byteCount <= destination.byteCount - offset else {
            return false
        }
        unsafe destination.withUnsafeMutableBytes { target in
            guard let source = unsafe unsafeBytes.baseAddress, let start = target.baseAddress else { return }
            unsafe memcpy(start + offset, source, unsafeBytes.count)
        }
        extendLifetime(owner)
        return true
    }

    /// The bytes as a text, or nil when they are not UTF-8.
    public var text: String? {
        defer { extendLifetime(owner) }
        return unsafe String(validating: unsafeBytes, as: UTF8.self)
    }

    /// A frame that shares a part of these bytes, or nil when the part does not lie within them.
    public func subframe(byteOffset: Int, byteCount: Int) -> Frame? {
        guard byteOffset >= 0, byteCount >= 0, byteOffset <= self.byteCount,
            byteCount <= self.byteCount - byteOffset
        else { return nil }
        let part = unsafe UnsafeRawBufferPointer(rebasing: unsafeBytes[byteOffset..<byteOffset + byteCount])
        return unsafe Frame(owner: owner, unsafeBytes: part)
    }
}

extension Frame: Equatable {
    /// Whether two frames hold equal bytes.
    public static func == (left: Frame, right: Frame) -> Bool {
        defer {
            extendLifetime(left.owner)
            extendLifetime(right.owner)
        }
        guard left.byteCount == right.byteCount else { return false }
        guard let leftStart = unsafe left.unsafeBytes.baseAddress,
            let rightStart = unsafe right.unsafeBytes.baseAddress
        else { return true }
        return unsafe memcmp(leftStart, rightStart, left.byteCount) == 0
    }
}

extension Frame: ExpressibleByStringLiteral, CustomStringConvertible {
    /// Copies the UTF-8 bytes of a literal.
    public init(stringLiteral text: String) {
        self.init(text)
    }

    /// The size only, because the contents may be private.
    public var description: String { "Frame(\(byteCount) bytes)" }
}
