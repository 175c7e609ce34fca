internal import CLibcrypto

/// libcrypto's state of one digest.
@safe
final class DigestState: @unchecked Sendable {
    // @unchecked Sendable because a state changes only while one value refers to it. Copying only reads it.
    private let context: OpaquePointer

    /// Begins a digest.
    init() {
        unsafe context = Self.allocated()
        let isBegun = unsafe EVP_DigestInit_ex2(context, DigestAlgorithm.sha256.pointer, nil)
        precondition(isBegun == 1, "libcrypto cannot begin a SHA-256")
    }

    /// Copies a digest that is under way.
    init(copying other: DigestState) {
        unsafe context = Self.allocated()
        let isCopied = unsafe EVP_MD_CTX_copy_ex(context, other.context)
        precondition(isCopied == 1, "libcrypto cannot copy a SHA-256: is memory short?")
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// Appends bytes.
    func update(_ bytes: RawSpan) {
        let isTaken = unsafe bytes.withUnsafeBytes { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
        precondition(isTaken == 1, "libcrypto cannot take the bytes of a SHA-256")
    }

    /// Ends the digest; the state takes no more bytes.
    ///
    /// - Returns: 32 bytes.
    func end() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let isEnded = unsafe EVP_DigestFinal_ex(context, &digest, nil)
        precondition(isEnded == 1, "libcrypto cannot end a SHA-256")
        return digest
    }

    private static func allocated() -> OpaquePointer {
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory for a SHA-256") }
        return unsafe context
    }
}

/// SHA-256 as libcrypto implements it.
@safe
private struct DigestAlgorithm: @unchecked Sendable {
    // @unchecked Sendable because nothing changes an algorithm after it was looked up.

    /// Looked up once, because each look-up takes a lock.
    static let sha256 = DigestAlgorithm()

    let pointer: OpaquePointer

    private init() {
        // libcrypto would free its memory at exit(), while other threads may still hash.
        _ = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
        // A context of our own reads no configuration file, which could replace algorithms or turn them off.
        guard let library = unsafe OSSL_LIB_CTX_new(), let found = unsafe EVP_MD_fetch(library, "SHA2-256", nil) else {
            preconditionFailure("this machine's libcrypto has no SHA-256")
        }
        unsafe pointer = found
    }
}
