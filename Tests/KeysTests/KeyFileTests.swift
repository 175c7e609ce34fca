import Foundation
import Identifiers
import Keys
import SystemPackage
import TestSupport
import Testing
import ZeroMQ

/// Key files: how they are written, and which are refused.
@Suite struct KeyFileTests {
    let directory: TemporaryDirectory
    let place: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        place = FilePath(directory.path)
    }

    func write(_ text: String, to name: String, mode: Int = 0o600) throws -> FilePath {
        try directory.write(Array(text.utf8), to: name)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: directory.appending(name))
        return place.appending(name)
    }

    private func mode(_ file: FilePath) throws -> Int {
        try #require(
            try FileManager.default.attributesOfItem(atPath: file.string)[.posixPermissions] as? Int)
    }

    // Source: zmq_curve(7) and the test vectors of libzmq's own manual page.
    let serverPublic = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    private let serverSecret = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

    @Test func `a pair is written for its owner alone and read back`() throws {
        let writer = try KeyPairWriter(name: "gpu-1.rack_2", in: place)
        let key = try writer.writeFreshPair(roles: [.worker, .reader])
        #expect(try directory.names() == ["gpu-1.rack_2.public", "gpu-1.rack_2.secret"])
        #expect(try mode(writer.secretFile) == 0o600)
        #expect(try SecretKeyFile.read(writer.secretFile).publicKey == key)
        #expect(try PublicKeyFile.read(writer.publicFile) == key)
        let text = String(decoding: try directory.read("gpu-1.rack_2.public"), as: UTF8.self)
        #expect(text.hasSuffix("public \(key)\nrole worker\nrole reader\n"))
    }

    @Test(arguments: ["secret", "public"])
    func `no file is ever overwritten`(suffix: String) throws {
        let existing = try write("precious", to: "ci.\(suffix)")
        #expect(throws: KeysError.exists(file: existing)) {
            try KeyPairWriter(name: "ci", in: place).writeFreshPair(roles: [])
        }
        #expect(try directory.names() == ["ci.\(suffix)"])
        #expect(try directory.read("ci.\(suffix)") == Array("precious".utf8))
    }

    @Test func `a directory that does not exist is said`() throws {
        let missing = place.appending("missing")
        let error = try #require(throws: KeysError.self) {
            try KeyPairWriter(name: "ci", in: missing).writeFreshPair(roles: [])
        }
        #expect(
            error
                == .callFailed(
                    file: missing.appending("ci.secret"), call: "open", code: .noSuchFileOrDirectory))
    }

    @Test(arguments: [
        "", ".", "..", "../ci", "a/b", "-ci", ".ci", "_ci", "ci\n", "schlüssel", String(repeating: "a", count: 65),
    ])
    func `a name that is no plain file name is refused`(name: String) {
        #expect(throws: KeysError.invalidName(name)) { try KeyPairWriter(name: name, in: place) }
    }

    @Test func `the pair of libzmq's manual is read, comments and blank lines passed over`() throws {
        let file = try write(
            "# a comment\r\n\r\n  secret \(serverSecret)\n\n# another\n public \t\(serverPublic)\n", to: "s.secret")
        #expect(try SecretKeyFile.read(file).publicKey.description == serverPublic)
    }

    @Test(arguments: [0o640, 0o604, 0o660, 0o601])
    func `a secret key that others can read is refused`(mode: Int) throws {
        let file = try write("secret \(serverSecret)\npublic \(serverPublic)\n", to: "s.secret", mode: mode)
        #expect(throws: KeysError.notPrivate(file: file, permissions: UInt16(mode))) { try SecretKeyFile.read(file) }
    }

    @Test func `a service's credential may show its access list as the group's, but not as the others'`() throws {
        let text = "secret \(serverSecret)\npublic \(serverPublic)\n"
        let file = try write(text, to: "curve.secret", mode: 0o440)
        #expect(SecretKeyPlace(named: nil, credentials: place.string)?.file == file)
        #expect(try SecretKeyPlace(named: nil, credentials: place.string)?.read().publicKey.description == serverPublic)
        #expect(throws: KeysError.notPrivate(file: file, permissions: 0o440)) {
            try SecretKeyPlace(named: file.string, credentials: nil)?.read()
        }
        _ = try write(text, to: "curve.secret", mode: 0o444)
        #expect(throws: KeysError.notPrivate(file: file, permissions: 0o444)) {
            try SecretKeyPlace(named: nil, credentials: place.string)?.read()
        }
        #expect(SecretKeyPlace(named: nil, credentials: place.appending("none").string) == nil)
        #expect(SecretKeyPlace(named: nil, credentials: nil) == nil)
    }

    @Test func `what is wrong with a secret file is said by line and without its content`() throws {
        let cases: [(String, KeysError)] = [
            (
                "secret \(serverSecret)\n",
                .missingLine(file: place.appending("s.secret"), expected: "public KEY")
            ),
            (
                "# x\npublic \(serverPublic)\n",
                .missingLine(file: place.appending("s.secret"), expected: "secret KEY")
            ),
            (
                "public \(serverPublic)\nsecret short\n",
                .malformedLine(
                    file: place.appending("s.secret"), line: 2,
                    problem: "CURVE key: has 5 characters; expected 40 characters of Z85.")
            ),
            (
                "\n\(serverSecret)\npublic \(serverPublic)\n",
                .malformedLine(
                    file: place.appending("s.secret"), line: 2,
                    problem: "has one word; expected a keyword and a value.")
            ),
            (
                "\(serverSecret) x\npublic \(serverPublic)\n",
                .malformedLine(
                    file: place.appending("s.secret"), line: 1,
                    problem: "has an unknown keyword; expected \"secret\" or \"public\".")
            ),
            (
                "secret \(serverSecret)\npublic \(serverPublic)\nsecret \(serverSecret)\n",
                .malformedLine(
                    file: place.appending("s.secret"), line: 3,
                    problem: "is a second \"secret\"; expected one. Remove it.")
            ),
            (
                "secret \(serverSecret)\npublic \(try CurveKeyPair.generate().publicKey)\n",
                .mismatch(file: place.appending("s.secret"))
            ),
        ]
        for (text, expected) in cases {
            let file = try write(text, to: "s.secret")
            let error = try #require(throws: KeysError.self) { try SecretKeyFile.read(file) }
            #expect(error == expected)
            #expect(!error.description.contains(serverSecret))
        }
    }

    @Test func `what is no key file is refused unread`() throws {
        let large = try write(String(repeating: "#\n", count: 40_000), to: "large")
        #expect(throws: KeysError.notKeyFile(file: large)) { try SecretKeyFile.read(large) }
        #expect(throws: KeysError.notKeyFile(file: place)) { try PublicKeyFile.read(place) }
        try directory.write([0xff, 0xfe], to: "binary")
        #expect(throws: KeysError.notKeyFile(file: place.appending("binary"))) {
            try PublicKeyFile.read(place.appending("binary"))
        }
    }

    @Test func `messages say where, what was expected and what to do`() {
        let expected: [(KeysError, String)] = [
            (
                .malformedLine(file: "/k/a.public", line: 3, problem: "is wrong."), "/k/a.public:3: is wrong."
            ),
            (
                .missingLine(file: "/k/a.public", expected: "role worker|submitter|reader"),
                "/k/a.public: has no line \"role worker|submitter|reader\"; expected one. Add it, or make the key anew "
                    + "with \"kfacctl keygen\"."
            ),
            (
                .notPrivate(file: "/k/a.secret", permissions: 0o44),
                "/k/a.secret: others than its owner can read the secret key (mode 0044); expected mode 0600. Run "
                    + "\"chmod 600 /k/a.secret\"; if others may have read it, make a new key."
            ),
            (
                .exists(file: "/k/a.secret"),
                "/k/a.secret: exists already; a key is never overwritten. Choose another name or directory."
            ),
            (
                .sameKey(file: "/k/b.public", other: "/k/a.public"),
                "/k/b.public: holds the same key as /k/a.public; expected every key once. Remove one of them."
            ),
            (
                .invalidName("../x"),
                "key name \"../x\": cannot name a file; expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", the "
                    + "first a letter or digit."
            ),
            (
                .mismatch(file: "/k/a.secret"),
                "/k/a.secret: the public key is not that of the secret key; expected a pair. Make the key anew with "
                    + "\"kfacctl keygen\"."
            ),
            (
                .notKeyFile(file: "/k"),
                "/k: is no key file; expected a file of a few lines, as \"kfacctl keygen\" writes it."
            ),
            (
                .writableByAll(file: "/k"),
                "/k: anybody can write to it, and so authorize keys; expected its owner to be the only one. Run "
                    + "\"chmod go-w /k\" and look at what it holds."
            ),
            (
                .callFailed(file: "/k", call: "open", code: .permissionDenied),
                "/k: open failed: this user may not do that (permission denied). Give this user the right."
            ),
            (.unavailable(cause: "x"), "keys cannot be made: x. Install a libzmq with CURVE."),
        ]
        for (error, text) in expected { #expect(error.description == text) }
    }
}

extension KeyFileTests {
    @Test func `a key file states its version, and one that states none is of the first`() throws {
        let writer = try KeyPairWriter(name: "stated", in: place)
        _ = try writer.writeFreshPair(roles: [])
        for name in ["stated.secret", "stated.public"] {
            #expect(String(decoding: try directory.read(name), as: UTF8.self).contains("\nformat kfacd.key/1\n"))
        }
        let file = try write("public \(serverPublic)\n", to: "p.public")
        #expect(try PublicKeyFile.read(file).description == serverPublic)
    }

    @Test func `a key file of a later version is refused with both versions`() throws {
        let file = try write("format kfacd.key/2\npublic \(serverPublic)\n", to: "p.public")
        let problem = FormatProblem.newer(FormatVersion("kfacd.key", 2), expected: .key)
        #expect(throws: KeysError.otherFormat(file: file, problem)) { try PublicKeyFile.read(file) }
    }
}
