import Identifiers
import SwiftProtobuf
import Testing
import UnitOperations

@testable import WireProtocol

/// Values that the schema allows and the protocol forbids; each test checks one whole error message.
@Suite struct MalformedMessageTests {
    private static let zeros = String(repeating: "0", count: 64)

    /// Expects that a message of this version is refused with this sentence.
    private func expect(
        _ problem: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireEnvelope) -> Void
    ) throws {
        var envelope = WireEnvelope()
        envelope.version = WireLimits.version
        change(&envelope)
        let bytes: [UInt8] = try envelope.serializedBytes()
        let error = #expect(throws: WireError.self, sourceLocation: sourceLocation) {
            try WireMessage(decoding: bytes)
        }
        #expect(error?.description == "the message is malformed: \(problem).", sourceLocation: sourceLocation)
    }

    /// Expects that a lease is refused after one change to its valid operation.
    private func expectLease(
        _ problem: String,
        of lease: UnitLease = WireMessages.leases[0].lease,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireUnitLease) -> Void
    ) throws {
        try expect(problem, sourceLocation: sourceLocation) {
            $0.coordinator.lease = lease.wire
            change(&$0.coordinator.lease)
        }
    }

    // MARK: - Bodies

    @Test func `a message without a body is refused at every level`() throws {
        try expect("it has no body") { _ in }
        try expect("a worker's message has no body") { $0.worker = WireWorkerMessage() }
        try expect("a coordinator's message has no body") { $0.coordinator = WireCoordinatorMessage() }
        try expect("a request has no body") { $0.request = WireClientRequest() }
        try expect("a reply has no body") { $0.reply = WireClientReply() }
        try expect("a range request has no source") { $0.worker.rangeRequest = WireRangeRequest() }
        try expectLease("the operation \"\" is not known") { $0.operationKind = "" }
    }

    @Test func `only words and orders about units and blobs are joined, and not too many`() throws {
        try expect("0 messages are joined; expected 1 to 256") { $0.workerSequence = WireWorkerMessages() }
        let started = WireWorkerMessage.with { $0.started = WireMessages.unit.wire }
        try expect("257 messages are joined; expected 1 to 256") {
            $0.workerSequence.messages = Array(repeating: started, count: 257)
        }
        let alone = "a message is joined with others that must stand alone"
        try expect(alone) {
            $0.workerSequence.messages = [started, .with { $0.hello = WireMessages.hello.wire }]
        }
        try expect(alone) { $0.coordinatorSequence.messages = [.with { $0.drain = WireDrainWorker() }] }
        try expect("a worker's message has no body") { $0.workerSequence.messages = [started, WireWorkerMessage()] }
    }

    // MARK: - Workers

    @Test(arguments: [0, 201])
    func `a worker's name is not empty and not too long`(length: Int) throws {
        try expect("a worker's name is empty or too long") {
            $0.worker.hello = WireMessages.hello.wire
            $0.worker.hello.worker = String(repeating: "w", count: length)
        }
    }

    @Test func `a host's name is not too long`() throws {
        try expect("a worker's name is empty or too long") {
            $0.worker.hello = WireMessages.hello.wire
            $0.worker.hello.host = String(repeating: "h", count: 301)
        }
    }

    @Test func `a worker has lanes, and not absurdly many`() throws {
        try expect("a worker has no lanes") {
            $0.worker.hello = WireMessages.hello.wire
            $0.worker.hello.lanes = 0
        }
        try expect("the number of lanes is 4097") {
            $0.worker.hello = WireMessages.hello.wire
            $0.worker.hello.lanes = 4097
        }
    }

    @Test func `a unit is named by a job, a place and an attempt`() throws {
        try expect("a job's name is \"\"") { $0.worker.started = WireUnitName() }
        let long = String(repeating: "j", count: 201)
        try expect("a job's name is \"\(long.prefix(100))…\"") { $0.worker.started.job = long }
        try expect("a unit is 18446744073709551615") {
            $0.worker.started = WireMessages.unit.wire
            $0.worker.started.unit = .max
        }
        try expect("an attempt is 4294967295") {
            $0.worker.started = WireMessages.unit.wire
            $0.worker.started.attempt = .max
        }
    }

    @Test func `a measurement that is not known is refused`() throws {
        try expect("a measurement is \"colour\"") {
            $0.worker.finished.unit = WireMessages.unit.wire
            $0.worker.finished.result.measurements = [WireMeasurement.with { $0.name = "colour" }]
        }
    }

    @Test func `a blob is named by a digest`() throws {
        try expect("\"abc\" is no SHA-256 digest") { $0.worker.uploadOffer.blob.digest = "abc" }
        try expect("a blob has 0 bytes") {
            $0.worker.uploadOffer.blob.digest = String(repeating: "0", count: 64)
            $0.worker.uploadOffer.blob.byteCount = 0
        }
        try expect("\"\" is no SHA-256 digest") { $0.worker.rangeRequest.blob = "" }
        try expectLease("\"\" is no SHA-256 digest") { $0.files[0].headerDigest = "" }
    }

    @Test func `a range ends within 64 bits`() throws {
        try expect("a range ends behind 2^64") {
            $0.worker.rangeRequest.blob = Self.zeros
            $0.worker.rangeRequest.offset = .max
            $0.worker.rangeRequest.byteCount = 1
        }
        try expect("a range ends behind 2^64") {
            $0.request.outputRange.offset = 1
            $0.request.outputRange.byteCount = .max
        }
        try expect("a file's index is 4294967295") { $0.worker.rangeRequest.file.file = .max }
    }

    // MARK: - Leases

    @Test func `a lease's files have an index that can be counted`() throws {
        try expectLease("a file's index is 2147483649") { $0.files[0].index = 1 << 31 + 1 }
    }

    @Test func `a place lies within its file, and is of an output`() throws {
        try expectLease("a place ends after its file", of: WireMessages.placed) {
            $0.places[1].offset = 1 << 30 - 4
        }
        try expectLease("a place ends after its file", of: WireMessages.placed) { $0.places[1].offset = UInt64.max }
        try expectLease("a place is for a blob that \"factor\" does not make", of: WireMessages.placed) {
            $0.places[0].position = 1
        }
    }

    @Test func `what is wrong with an operation is what is wrong with its lease`() throws {
        try expectLease("the operation \"colour\" is not known") { $0.operationKind = "colour" }
        try expectLease("an element type is \"\"") { $0.clearOperation() }
        try expectLease("file 1 of 1 is read") { $0.files.removeLast() }
    }

    @Test func `an operation has the blobs and the numbers that it reads`() throws {
        try expectLease("\"factor\" has 1 blobs and 0 lists of numbers") { $0.inputs = [WireMessages.blob(1).wire] }
        try expectLease("\"factor\" has 0 blobs and 1 lists of numbers") { $0.inputNumbers = [WireInputNumbers()] }
        try expectLease(
            "\"accumulate_optimally\" has 4 blobs and 0 lists of numbers",
            of: WireMessages.lease(WireMessages.optimalSums, UnitInputs(blobs: (1...4).map(WireMessages.blob)))
        ) { _ in }
    }

    @Test func `an offer whose run, place, size or content cannot be is refused`() throws {
        func offer(_ change: (inout WirePushOffer) -> Void) -> WirePushOffer {
            var offer = WirePushOffer()
            (offer.run, offer.rank, offer.sequence) = ("monday", 1, 2)
            offer.file.digest = String(repeating: "0", count: 64)
            offer.file.byteCount = 9
            change(&offer)
            return offer
        }
        let name =
            "cannot name a run; expected 1 to 200 bytes without a path separator or control character and without "
            + "a leading dot"
        try expect("\"../up\" \(name)") { $0.request.pushOffer = offer { $0.run = "../up" } }
        try expect("a rank is 2147483648") { $0.request.pushOffer = offer { $0.rank = 1 << 31 } }
        try expect("a sequence is 4294967295") { $0.request.pushOffer = offer { $0.sequence = .max } }
        try expect("a blob has 0 bytes") { $0.request.pushOffer = offer { $0.file.byteCount = 0 } }
        try expect("\"x\" is no SHA-256 digest") { $0.request.pushOffer = offer { $0.file.digest = "x" } }
        try expect("an offer does not say how the sums come") { $0.request.pushOffer = offer { $0.content = nil } }
        try expect("a credit is 65537") { $0.reply.push.credit = 1 << 16 + 1 }
    }

    @Test func `words that are not known are refused`() throws {
        try expect("a failure's kind is \"tired\"") { $0.reply.failure.kind = "tired" }
        try expect("a job's state is \"asleep\"") {
            $0.reply.jobs.jobs = [WireMessages.job.wire]
            $0.reply.jobs.jobs[0].state = "asleep"
        }
    }

    // MARK: - Clients

    @Test(arguments: [(-0.5, "-0.5"), (1.5, "1.5"), (.nan, "nan")])
    func `a job's progress lies between nothing and all`(fraction: Double, text: String) throws {
        try expect("a job's progress is \(text), submitted at 1750000000.0") {
            $0.reply.jobs.jobs = [WireMessages.job.wire]
            $0.reply.jobs.jobs[0].fraction = fraction
        }
    }

    @Test func `numbers of units can be counted`() throws {
        try expect("a number of units is 4294967296") {
            $0.reply.jobs.jobs = [WireMessages.job.wire]
            $0.reply.jobs.jobs[0].totalUnits = 1 << 32
        }
        try expect("lanes is 4294967295") { $0.reply.workers.workers = [WireWorkerStatus.with { $0.lanes = .max }] }
        try expect("a number of layers is 18446744073709551615") { $0.reply.plan.layers = .max }
    }

    /// Empty progress reports of two bytes each inside a heartbeat; decoded, each would take a hundred bytes.
    @Test func `a message of very many fields is refused before it is decoded`() throws {
        try expect("it has more than 262144 fields") {
            $0.worker.heartbeat.progress = Array(repeating: WireUnitProgress(), count: 1 << 18)
        }
        try expect("it has more than 262144 fields") {
            $0.worker.finished.result.blobs = Array(repeating: WireBlob(), count: 1 << 18)
        }
    }

    @Test func `a long word of a peer is quoted by its start`() throws {
        try expect("a fault is \"\(String(repeating: "é", count: 100))…\"") {
            $0.worker.failed.unit = WireMessages.unit.wire
            $0.worker.failed.kind = String(repeating: "é", count: 50_000)
        }
    }

    @Test func `a list has an end`() throws {
        try expect("the list of jobs has 131073 items") {
            $0.reply.jobs.jobs = Array(repeating: WireJobStatus(), count: 1 << 17 + 1)
        }
    }
}
