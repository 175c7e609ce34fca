import JobPlan
import SwiftProtobuf
import TestSupport
import Testing

@testable import WireProtocol

@Suite struct WireMessageTests {
    @Test(arguments: WireMessages.all.map(\.name))
    func `a message arrives as it was sent`(name: String) throws {
        let message = try #require(WireMessages.all.first { $0.name == name }).message
        #expect(try WireMessage(decoding: message.encoded()) == message)
    }

    /// Fails for a family that is in the protocol and not in this table.
    @Test func `every family of the schema is in the table`() throws {
        var bodies: Set<String> = []
        for (_, message) in WireMessages.all {
            let envelope = try WireEnvelope(serializedBytes: message.encoded())
            switch envelope.body {
            case .worker(let message): bodies.insert("worker \(caseName(message.body))")
            case .coordinator(let message): bodies.insert("coordinator \(caseName(message.body))")
            case .workerSequence: bodies.insert("worker sequence")
            case .coordinatorSequence: bodies.insert("coordinator sequence")
            case .request(let message): bodies.insert("request \(caseName(message.body))")
            case .reply(let message): bodies.insert("reply \(caseName(message.body))")
            case .refusal, nil: bodies.insert("refusal")
            }
        }
        #expect(bodies.count == 3 + 14 + 13 + 14 + 11)
    }

    private func caseName(_ body: (some Any)?) -> String {
        body.flatMap { Mirror(reflecting: $0).children.first?.label } ?? "nothing"
    }

    @Test func `a time between heartbeats is kept to the millisecond`() throws {
        let message = WireMessage.coordinator(
            .welcome(
                coordinator: "", heartbeatInterval: .microseconds(2_500_900), idleHeartbeatInterval: .seconds(-1)))
        #expect(
            try WireMessage(decoding: message.encoded())
                == .coordinator(
                    .welcome(coordinator: "", heartbeatInterval: .milliseconds(2500), idleHeartbeatInterval: .zero))
        )
    }

    // MARK: - Limits

    @Test func `a frame larger than a message may be is refused before it is read`() {
        let bytes = [UInt8](repeating: 0, count: WireLimits.messageBytesMax + 1)
        let error = #expect(throws: WireError.self) { try WireMessage(decoding: bytes) }
        #expect(error?.description == "the message has 67108865 bytes; at most 67108864 are allowed.")
    }

    @Test func `a message that a peer would refuse is not sent`() {
        let text = String(repeating: "x", count: WireLimits.requestBytesMax)
        let request = WireMessage.request(
            1,
            .submit(Submission(specText: text, specPath: "", overwrites: false))
        )
        let error = #expect(throws: WireError.self) { try request.encoded() }
        #expect(error?.description.hasSuffix("bytes; at most 16777216 are allowed.") == true)
    }

    // MARK: - Versions

    @Test func `a peer of another version is told both versions`() throws {
        var envelope = WireEnvelope()
        envelope.version = WireLimits.version + 1
        envelope.worker.heartbeat.worker = "w"
        let bytes: [UInt8] = try envelope.serializedBytes()
        let error = #expect(throws: WireError.self) { try WireMessage(decoding: bytes) }
        #expect(
            error?.description
                == "the peer speaks protocol version \(WireLimits.version + 1), this program speaks version "
                + "\(WireLimits.version). Install the same version of kfacd on both sides."
        )
    }

    @Test func `an empty frame is of no version`() {
        let expected = WireError.versionMismatch(found: 0, supported: WireLimits.version)
        #expect(throws: expected) { try WireMessage(decoding: []) }
    }

    @Test(arguments: [0, 3, UInt32.max])
    func `a refusal is read whatever version sent it`(version: UInt32) throws {
        var envelope = WireEnvelope()
        envelope.version = version
        envelope.refusal.supportedVersion = version
        envelope.refusal.message = "update"
        let bytes: [UInt8] = try envelope.serializedBytes()
        #expect(
            try WireMessage(decoding: bytes)
                == .refusal(PeerRefusal(supportedVersion: version, message: "update"))
        )
    }

    @Test func `a later version's message with fields that are not known here is told its version`() throws {
        // The version, then field 99 of a body that this version does not know.
        let later = WireLimits.version + 1
        let bytes: [UInt8] = [0x08, UInt8(later), 0x9a, 0x06, 0x03, 0x01, 0x02, 0x03]
        #expect(throws: WireError.versionMismatch(found: later, supported: WireLimits.version)) {
            try WireMessage(decoding: bytes)
        }
    }

    /// The bytes that peers of all versions must always understand; the first field is the sender's version.
    @Test func `a refusal's bytes never change`() throws {
        let bytes = try WireMessage.refusal(PeerRefusal(supportedVersion: 1, message: "no")).encoded()
        #expect(bytes == [0x08, UInt8(WireLimits.version), 0x12, 0x06, 0x08, 0x01, 0x12, 0x02, 0x6e, 0x6f])
    }

    // MARK: - Hostile bytes

    @Test(arguments: [[0xff], [0x08], [0x12, 0x7f, 0x00], [0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x08, 0x01, 0x1b]])
    func `what is not an envelope is refused`(bytes: [UInt8]) {
        let error = #expect(throws: WireError.self) { try WireMessage(decoding: bytes) }
        #expect(error?.description == "the message is malformed: it is not an envelope of the protocol.")
    }

    @Test func `every beginning of every message is read or refused`() throws {
        for (_, message) in WireMessages.all {
            let bytes = try message.encoded()
            for count in 0..<bytes.count { _ = try? WireMessage(decoding: Array(bytes.prefix(count))) }
        }
    }

    /// A mutated message that is still readable must be encodable and readable again; nothing in it may trap.
    @Test func `a mutated message is read or refused, and never traps`() throws {
        let frames = try WireMessages.all.map { try $0.message.encoded() }
        var readable = 0
        let runs = try forEachSeed(in: 0..<10_000) { seed, random in
            let bytes = mutated(frames[Int(seed % UInt64(frames.count))], &random)
            guard let message = try? WireMessage(decoding: bytes) else { return }
            readable += 1
            let sent = try message.encoded()
            #expect(try WireMessage(decoding: sent).encoded() == sent, "SEED=\(seed)")
        }
        // If all mutations were refused, only the first check would have been tested.
        #expect(runs == 1 || readable > runs / 20)
    }
}
