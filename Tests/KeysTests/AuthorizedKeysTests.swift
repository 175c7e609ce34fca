import Foundation
import SystemPackage
import TestSupport
import Testing
import ZeroMQ

@testable import Keys

/// The directory of authorized keys.
@Suite struct AuthorizedKeysTests {
    private let directory: TemporaryDirectory
    private let place: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        place = FilePath(directory.path)
    }

    @discardableResult
    private func authorize(_ name: String, _ key: CurvePublicKey? = nil, _ roles: String...) throws -> CurvePublicKey {
        let key = try key ?? CurveKeyPair.generate().publicKey
        let text = "public \(key)\n" + roles.map { "role \($0)\n" }.joined()
        try directory.write(Array(text.utf8), to: "\(name).public")
        return key
    }

    @Test func `the keys of a directory have the names and roles of their files`() throws {
        let (worker, boss) = (try authorize("w", nil, "worker"), try authorize("boss", nil, "submitter", "worker"))
        try directory.write([1, 2, 3], to: "notes.txt")
        try directory.write([1, 2, 3], to: ".hidden.public")
        let keys = try AuthorizedKeys(directory: place)
        #expect(keys.count == 2)
        #expect(
            keys[worker.description]
                == AuthorizedKey(
                    name: "w", publicKey: worker, roles: [.worker], file: place.appending("w.public")))
        #expect(keys[boss.description]?.roles == [.worker, .submitter])
        #expect(keys.contains(worker))
        #expect(!keys.contains(try CurveKeyPair.generate().publicKey))
    }

    @Test func `a submitter may read, a reader may not submit, a worker does neither`() throws {
        let key = try CurveKeyPair.generate().publicKey
        let allowed = { (roles: Set<Role>) in
            Role.allCases.filter(AuthorizedKey(name: "", publicKey: key, roles: roles, file: "").isAllowed)
        }
        #expect(allowed([.reader]) == [.reader])
        #expect(allowed([.submitter]) == [.reader, .submitter])
        #expect(allowed([.worker]) == [.worker])
        #expect(allowed([]) == [])
    }

    @Test func `a bad file at the start is an error, at a reload the old keys stay`() throws {
        let key = try authorize("a", nil, "reader")
        let keys = try AuthorizedKeys(directory: place)
        try authorize("b", nil, "admin")
        let expected = KeysError.malformedLine(
            file: place.appending("b.public"), line: 2,
            problem: "the role \"admin\" is unknown; expected worker, submitter or reader.")
        #expect(throws: expected) { try keys.reload() }
        #expect(keys.count == 1)
        #expect(keys.contains(key))
        #expect(throws: expected) { try AuthorizedKeys(directory: place) }
    }

    @Test func `a reload says which keys came, changed and went`() throws {
        let (stays, changes) = (try authorize("stays", nil, "reader"), try authorize("changes", nil, "reader"))
        let gone = try authorize("gone", nil, "worker")
        let keys = try AuthorizedKeys(directory: place)
        try authorize("changes", changes, "submitter")
        try authorize("new", nil, "worker")
        try FileManager.default.removeItem(atPath: directory.appending("gone.public"))
        #expect(try keys.reload() == AuthorizedKeys.Change(granted: ["changes", "new"], removed: ["gone"]))
        #expect(keys.contains(stays))
        #expect(!keys.contains(gone))
        #expect(keys[changes.description]?.roles == [.submitter])
        #expect(try keys.reload() == AuthorizedKeys.Change(granted: [], removed: []))
    }

    @Test func `a file without a role, and a key that stands in two files, are refused`() throws {
        let key = try authorize("a")
        #expect(
            throws: KeysError.missingLine(
                file: place.appending("a.public"), expected: "role worker|submitter|reader")
        ) { try AuthorizedKeys(directory: place) }
        try authorize("a", key, "reader")
        try authorize("b", key, "worker")
        #expect(throws: KeysError.sameKey(file: place.appending("b.public"), other: place.appending("a.public"))) {
            try AuthorizedKeys(directory: place)
        }
    }

    @Test func `what anybody can write to authorizes nobody`() throws {
        try authorize("a", nil, "reader")
        let file = place.appending("a.public")
        try FileManager.default.setAttributes([.posixPermissions: 0o646], ofItemAtPath: file.string)
        #expect(throws: KeysError.writableByAll(file: file)) { try AuthorizedKeys(directory: place) }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.string)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: place.string)
        #expect(throws: KeysError.writableByAll(file: place)) { try AuthorizedKeys(directory: place) }
    }

    @Test func `a directory that is not there is said`() {
        let missing = place.appending("missing")
        #expect(throws: KeysError.callFailed(file: missing, call: "stat", code: .noSuchFileOrDirectory)) {
            try AuthorizedKeys(directory: missing)
        }
    }
}
