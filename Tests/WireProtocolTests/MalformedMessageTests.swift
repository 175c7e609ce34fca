import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import SwiftProtobuf
import Testing

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
        of operation: WorkerOperation<LeasedBlob> = .factor(WireMessages.factor),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireUnitLease) -> Void
    ) throws {
        try expect(problem, sourceLocation: sourceLocation) {
            $0.coordinator.lease = WireMessages.lease(operation).wire
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
        try expectLease("a lease has no operation") { $0.operation = nil }
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

    @Test func `a factor has rows, columns and chunks that can be counted`() throws {
        try expectLease("the number of columns is 2147483649") { $0.factor.columns = 1 << 31 + 1 }
        try expectLease("a factor has no rows or columns") { $0.factor.columns = 0 }
        try expectLease("a factor has no rows or columns") { $0.factor.chunkRows = 0 }
        try expectLease("the rows of a chunk is 4294967295") { $0.factor.chunkRows = .max }
        try expectLease("the first row is 72057594037927937") { $0.factor.slices[0].firstRow = 1 << 56 + 1 }
        try expectLease("a number of rows is 9223372036854775808") { $0.factor.slices[0].rows = 1 << 63 }
        try expectLease("a file's index is 2147483649") { $0.files[0].index = 1 << 31 + 1 }
    }

    @Test func `a slice's bytes are its rows' bytes`() throws {
        try expectLease("a slice of 101 rows has 153600 bytes") { $0.factor.slices[0].rows = 101 }
        try expectLease("a slice of 100 rows has 153600 bytes") { $0.factor.elementType = "F32" }
        try expectLease("a slice of 0 rows has 1 bytes") { $0.factor.slices[1].slice.byteCount = 1 }
        // 2^31 rows of 2^31 F64 are 2^65 bytes, which is 0 in 64 bits.
        try expectLease("a slice of 2147483648 rows has 0 bytes") {
            $0.factor.columns = 1 << 31
            $0.factor.elementType = "F64"
            $0.factor.slices = [
                WireRowSlice.with { $0.rows = 1 << 31 }
            ]
        }
    }

    @Test func `a slice ends within 64 bits`() throws {
        try expectLease("a slice ends behind 2^63") { $0.factor.slices[0].slice.offset = .max }
    }

    @Test(arguments: [0, -1, Double.nan, .infinity])
    func `a divisor is a positive number`(divisor: Double) throws {
        try expectLease("a divisor is not positive") { $0.factor.divisor = divisor }
    }

    @Test func `words that are not known are refused`() throws {
        try expectLease("an element type is \"I64\"") { $0.factor.elementType = "I64" }
        try expectLease("the reduction is \"median\" over 197 positions") { $0.factor.reduction = "median" }
        try expectLease("the reduction is \"mean\" over 0 positions") { $0.factor.positions = 0 }
        try expectLease("the number of positions is 4294967295") { $0.factor.positions = .max }
        try expectLease("a damping rule is \"phi\"", of: .invert(Self.inversion)) { $0.invert.damping.rule = "phi" }
        try expectLease("an element type is \"\"", of: .mergeBlock(Self.merge)) { $0.mergeBlock.outputTypes = [""] }
        try expect("a failure's kind is \"tired\"") { $0.reply.failure.kind = "tired" }
        try expect("a job's state is \"asleep\"") {
            $0.reply.jobs.jobs = [WireMessages.job.wire]
            $0.reply.jobs.jobs[0].state = "asleep"
        }
    }

    @Test(arguments: [(-1.0, "-1.0"), (.nan, "nan"), (.infinity, "inf")])
    func `a damping value is at least 0`(value: Double, text: String) throws {
        try expectLease("a damping value is \(text)", of: .invert(Self.inversion)) { $0.invert.damping.value = value }
    }

    @Test func `a block has a kind, factors and elements that can be counted`() throws {
        try expectLease("a block has no kind", of: .penalty(Self.penalty)) { $0.penalty.block.kind = nil }
        try expectLease("a block has no factors", of: .penalty(Self.penalty)) { $0.penalty.factors.factors = nil }
        try expectLease("a block is [0, 768]", of: .penalty(Self.penalty)) { $0.penalty.block.linear.outputs = 0 }
        try expectLease("a block is [1, 0]", of: .penalty(Self.penalty)) { $0.penalty.block.fullDimension = 0 }
        try expectLease("a block is [2147483648, 2147483648]", of: .penalty(Self.penalty)) {
            $0.penalty.block.linear.outputs = 1 << 31
            $0.penalty.block.linear.inputs = 1 << 31
        }
        try expectLease("d_in is 4294967295", of: .penalty(Self.penalty)) { $0.penalty.block.linear.inputs = .max }
        try expectLease("a dimension is 4294967295", of: .invert(Self.inversion)) { $0.invert.dimension = .max }
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

    // MARK: - Sound operations, to be spoilt

    private static let inversion = InvertOperation(
        factor: WireMessages.blob(1),
        dimension: 3,
        isFullBlock: true,
        damping: DampingSpec()
    )
    private static let penalty = PenaltyOperation(
        block: WireMessages.layer,
        factors: .full(WireMessages.blob(1)),
        base: WireMessages.parameters,
        checkpoints: []
    )
    private static let merge = MergeBlockOperation<LeasedBlob>(
        block: WireMessages.layer,
        base: WireMessages.parameters,
        tasks: [],
        scale: 1,
        damping: DampingSpec(),
        outputTypes: [.f32]
    )
}
