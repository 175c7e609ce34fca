internal import CZeroMQ

/// The half of a CURVE key pair that peers may know.
public struct CurvePublicKey: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]  // 32

    /// Reads a key written in Z85 (ZeroMQ RFC 32).
    ///
    /// - Throws: ``ZeroMQError/invalidCurveKey(_:)``, which states the problem and does not quote the text.
    public init(z85 text: String) throws(ZeroMQError) {
        bytes = try Z85.decodeKey(text)
    }

    /// Takes 32 binary bytes, or returns nil for any other number.
    init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// The key in Z85, 40 characters.
    public var description: String { Z85.encode(bytes) }
}

/// The half of a CURVE key pair that its owner keeps; it is never part of a description, a dump or an error.
public struct CurveSecretKey: Equatable, Sendable {
    let bytes: [UInt8]  // 32

    /// Reads a key written in Z85 (ZeroMQ RFC 32).
    ///
    /// - Throws: ``ZeroMQError/invalidCurveKey(_:)``, which states the problem and does not quote the text.
    public init(z85 text: String) throws(ZeroMQError) {
        bytes = try Z85.decodeKey(text)
    }

    /// The key in Z85, 40 characters; write it only to a file of mode 0600.
    public var exposedZ85: String { Z85.encode(bytes) }
}

extension CurveSecretKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// States that the key is hidden, and never shows it.
    public var description: String { "CurveSecretKey(hidden)" }

    /// States that the key is hidden, and never shows it.
    public var debugDescription: String { description }

    /// A mirror without children, so that `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: [] as [Mirror.Child]) }
}

/// A CURVE key pair (Curve25519, zmq_curve(7)).
public struct CurveKeyPair: Equatable, Sendable {
    /// The half that peers may know.
    public let publicKey: CurvePublicKey

    /// The half that peers may not know.
    public let secretKey: CurveSecretKey

    /// Derives the public key from a secret key.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` when libzmq was built without CURVE.
    public init(secretKey: CurveSecretKey) throws(ZeroMQError) {
        let text = unsafe try Self.readKeyTexts(call: "zmq_curve_public()") { publicText, _ in
            unsafe zmq_curve_public(publicText, secretKey.exposedZ85)
        }
        self.publicKey = try CurvePublicKey(z85: text.public)
        self.secretKey = secretKey
    }

    private init(publicKey: CurvePublicKey, secretKey: CurveSecretKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// Makes a fresh pair from the system's randomness.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` when libzmq was built without CURVE.
    public static func generate() throws(ZeroMQError) -> CurveKeyPair {
        let text = unsafe try readKeyTexts(call: "zmq_curve_keypair()") { publicText, secretText in
            unsafe zmq_curve_keypair(publicText, secretText)
        }
        return CurveKeyPair(
            publicKey: try CurvePublicKey(z85: text.public),
            secretKey: try CurveSecretKey(z85: text.secret)
        )
    }

    /// Calls libzmq with room for two texts of 40 characters and a NUL, as it requires.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` with `call`; there are no keys.
    private static func readKeyTexts(
        call: String,
        _ body: (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?) -> Int32
    ) throws(ZeroMQError) -> (public: String, secret: String) {
        var publicText = [CChar](repeating: 0, count: 41)
        var secretText = [CChar](repeating: 0, count: 41)
        let result = unsafe publicText.withUnsafeMutableBufferPointer { publicBuffer in
            unsafe secretText.withUnsafeMutableBufferPointer { secretBuffer in
                unsafe body(publicBuffer.baseAddress, secretBuffer.baseAddress)
            }
        }
        guard result == 0 else { throw .lastCallFailed(call) }
        return (Self.text(of: publicText), Self.text(of: secretText))
    }

    private static func text(of characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
