import Testing

@testable import ZeroMQ

struct CurveKeyTests {
    // ZeroMQ RFC 32: the test case of the specification.
    @Test func `Z85 is that of RFC 32`() throws {
        let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
        #expect(Z85.encode(bytes) == "HelloWorld")
        #expect(try Z85.decode(Array("HelloWorld".utf8)) == bytes)
    }

    // zmq_curve(7): the client's public key of the example, in both forms.
    @Test func `a public key is read and written`() throws {
        let text = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
        let bytes: [UInt8] = [
            0x54, 0xFC, 0xBA, 0x24, 0xE9, 0x32, 0x49, 0x96, 0x93, 0x16, 0xFB, 0x61, 0x7C, 0x87, 0x2B, 0xB0,
            0xC1, 0xD1, 0xFF, 0x14, 0x80, 0x04, 0x27, 0xC5, 0x94, 0xCB, 0xFA, 0xCF, 0x1B, 0xC2, 0xD6, 0x52,
        ]
        let key = try CurvePublicKey(z85: text)
        #expect(key.bytes == bytes)
        #expect(key.description == text)
    }

    @Test func `the public key follows from the secret one`() throws {
        let pair = try CurveKeyPair.generate()
        #expect(try CurveKeyPair(secretKey: pair.secretKey) == pair)
        #expect(try CurveSecretKey(z85: pair.secretKey.exposedZ85) == pair.secretKey)
        #expect(try CurveKeyPair.generate() != pair)
    }

    @Test func `a secret key is never shown`() throws {
        let pair = try CurveKeyPair.generate()
        var dumped = ""
        dump(pair, to: &dumped)
        for text in ["\(pair.secretKey)", String(reflecting: pair), "\(pair)", dumped, "\([pair.secretKey])"] {
            #expect(!text.contains(pair.secretKey.exposedZ85))
            #expect(!text.contains("\(pair.secretKey.bytes[0]), \(pair.secretKey.bytes[1])"))
        }
        #expect("\(pair.secretKey)" == "CurveSecretKey(hidden)")
    }

    @Test func `a wrong key is refused with its problem`() {
        let valid = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
        #expect(throws: ZeroMQError.invalidCurveKey(.wrongLength(found: 39))) {
            try CurveSecretKey(z85: String(valid.dropLast()))
        }
        #expect(throws: ZeroMQError.invalidCurveKey(.invalidCharacter(position: 39))) {
            try CurvePublicKey(z85: valid.dropLast() + "~")
        }
        #expect(throws: ZeroMQError.invalidCurveKey(.groupOutOfRange(position: 35))) {
            try CurvePublicKey(z85: valid.dropLast(5) + "#####")
        }
    }
}
