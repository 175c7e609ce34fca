import Identifiers
import JobPlan
import Keys
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import Messaging

/// Which key may send which message.
@Suite struct PeerAccessTests {
    private let directory: TemporaryDirectory
    private let users: [String: String]
    private let access: PeerAccess
    private let keys: AuthorizedKeys

    init() throws {
        directory = try TemporaryDirectory()
        var users: [String: String] = [:]
        for (name, roles) in [
            ("boss", ["submitter"]), ("ci", ["reader"]), ("gpu", ["worker"]), ("gpu2", ["worker", "reader"]),
        ] {
            let key = try CurveKeyPair.generate().publicKey
            users[name] = key.description
            let text = "public \(key)\n" + roles.map { "role \($0)\n" }.joined()
            try directory.write(Array(text.utf8), to: "\(name).public")
        }
        self.users = users
        keys = try AuthorizedKeys(directory: FilePath(directory.path))
        access = PeerAccess(keys: keys, claimPeriod: .seconds(60))
    }

    private func objection(to message: WireMessage, from name: String, as peer: String? = nil) throws -> String? {
        let identity = try RoutingIdentity(peer ?? name)
        return access.objection(to: message, from: identity, user: users[name]).map { "\($0.at): \($0.what)" }
    }

    private func hello(_ worker: WorkerID) -> WireMessage {
        .worker(
            .hello(
                WorkerHello(
                    worker: worker, host: "host", lanes: 1, memoryBytes: 1,
                    regime: NumericRegime(kernels: "kernels", elements: "fp32"), build: "build")))
    }

    private let submission = Submission(specText: "", specPath: "/job.yaml", overwrites: false, output: nil)

    @Test func `each role may do its own, and a submitter also read`() throws {
        let questions: [ClientRequest] = [
            .jobs, .status("job-1"), .workers, .plan(submission), .outputs("job-1"),
            .outputRange("job-1", path: "report.json", offset: 0, byteCount: 1), .log("job-1", after: 0),
        ]
        for question in questions {
            for name in ["boss", "ci", "gpu2"] { #expect(try objection(to: .request(1, question), from: name) == nil) }
            #expect(try objection(to: .request(1, question), from: "gpu") != nil)
        }
        for order in [ClientRequest.submit(submission), .cancel("job-1"), .drain("w")] {
            #expect(try objection(to: .request(1, order), from: "boss") == nil)
            for name in ["ci", "gpu", "gpu2"] { #expect(try objection(to: .request(1, order), from: name) != nil) }
        }
        #expect(try objection(to: hello("w"), from: "gpu") == nil)
        for name in ["boss", "ci"] { #expect(try objection(to: hello("w"), from: name) != nil) }
    }

    @Test func `a refusal names the key, its roles, the one that is needed, and what to do`() throws {
        #expect(
            try objection(to: .request(1, .submit(submission)), from: "ci")
                == "the key \"ci\": it has the role reader; submitting needs submitter: add the line \"role submitter\" to "
                + "\(directory.path)/ci.public of the coordinator and reload it.")
        #expect(
            try objection(to: .request(1, .cancel("job-1")), from: "gpu2")
                == "the key \"gpu2\": it has the roles reader, worker; cancelling needs submitter: add the line "
                + "\"role submitter\" to \(directory.path)/gpu2.public of the coordinator and reload it.")
    }

    @Test func `a key that is removed loses its rights with the next message`() throws {
        #expect(try objection(to: .request(1, .jobs), from: "ci") == nil)
        try directory.remove("ci.public")
        try keys.reload()
        let expected =
            "this key: it is not authorized (any more); its public file is missing in \(directory.path) of the coordinator."
        #expect(try objection(to: .request(1, .jobs), from: "ci") == expected)
        #expect(try objection(to: .request(1, .jobs), from: "nobody") == expected)
    }

    @Test func `a worker's name, and a connection's, belong to the key that used them first`() throws {
        #expect(try objection(to: hello("w"), from: "gpu", as: "first") == nil)
        let expected =
            "the key \"gpu2\": the name that it uses belongs to a peer with another key, which is connected. Give the "
            + "worker another --name, or wait until the other one is gone."
        #expect(try objection(to: hello("w"), from: "gpu2", as: "second") == expected)
        #expect(try objection(to: hello("v"), from: "gpu2", as: "first") == expected)
        #expect(try objection(to: hello("w"), from: "gpu", as: "third") == nil)
    }

    @Test func `a name is free again when its holder was not heard for the period`() throws {
        var claims = IdentityClaims(period: .seconds(10))
        let (one, other) = (try CurveKeyPair.generate().publicKey, try CurveKeyPair.generate().publicKey)
        let start = ContinuousClock.now
        let taken = [(one, 0), (one, 5), (other, 14), (other, 15)].map { key, second in
            claims.take(.worker("w"), for: key, at: start + .seconds(second))
        }
        #expect(taken == [true, true, false, true])
    }

    @Test func `the claims of peers that are gone make room`() throws {
        var claims = IdentityClaims(period: .seconds(10))
        let key = try CurveKeyPair.generate().publicKey
        let start = ContinuousClock.now
        for number in 0..<IdentityClaims.nameCountMax {
            let isTaken = claims.take(.worker(WorkerID(rawValue: "\(number)")), for: key, at: start)
            try #require(isTaken)
        }
        let taken = [9, 10].map { claims.take(.worker("one more"), for: key, at: start + .seconds($0)) }
        #expect(taken == [false, true])
    }

    @Test func `a connection is called what its worker said, and what is forgotten is a client`() throws {
        let names = PeerNames()
        let peers = try (0...PeerNames.countMax).map { try RoutingIdentity("connection-\($0)") }
        for (number, peer) in peers.enumerated() { names.note(WorkerID(rawValue: "w\(number)"), at: peer) }
        #expect(names.name(of: peers[1]) == "w1")
        #expect(names.name(of: peers[0]) == "client connection-0")
        #expect(names.countedName(of: peers[0]) == "client")
    }
}
