import Hashing
public import Identifiers
import JobPlan
public import UnitOperations

/// A message of a worker to the coordinator.
public enum WorkerMessage: Equatable, Sendable {
    /// The first message: the worker's identity and its offer.
    case hello(WorkerHello)
    /// A heartbeat with the progress of the current units.
    case heartbeat(WorkerID, [UnitProgress])
    /// The worker began to compute a unit.
    case started(LeasedUnit)
    /// A unit's results; the blobs are in the worker's own store.
    case finished(LeasedUnit, UnitResult, elapsedSeconds: Double, kernelSeconds: Double)
    /// A unit could not be computed.
    case failed(LeasedUnit, UnitFailure)
    /// The worker asks for bytes that the coordinator can read.
    case rangeRequest(RangeRequest)
    /// The coordinator may send more chunks of a range.
    case rangeCredit(transfer: UInt64, chunks: UInt32)
    /// The worker offers a blob; chunks follow as the coordinator gives credit.
    case uploadOffer(transfer: UInt64, BlobReference)
    /// A chunk of an offered blob, with its bytes in the second frame.
    case uploadChunk(transfer: UInt64, offset: UInt64)
    /// Blobs that are in the worker's store.
    case held([BlobReference])
    /// Blobs that are no longer in the worker's store.
    case dropped([BlobDigest])
    /// The worker cannot send a blob that the coordinator asked for.
    case collectFailure(BlobDigest, message: String)
    /// The worker takes no new units, and leaves when the current ones are finished.
    case draining(reason: String)
    /// The worker leaves.
    case goodbye(reason: String)
    /// A word about a sum of rows.
    case rowSum(RowSumWord)
}

/// A worker's identity and its offer.
public struct WorkerHello: Equatable, Sendable {
    /// The worker process.
    public var worker: WorkerID
    /// The name of the worker's machine.
    public var host: String
    /// The number of units that the worker computes at once.
    public var lanes: Int
    /// Memory for units, in bytes.
    public var memoryBytes: UInt64
    /// Memory for sums of rows besides, in bytes; 0 when the worker takes no rows.
    public var rowMemoryBytes: UInt64
    /// The numeric regime of its results.
    public var regime: NumericRegime
    /// The version of the worker's program.
    public var build: String
    /// The number of the connection; a new number means that messages of the last one may be lost.
    public var connection: UInt32

    /// States a worker's identity and its offer.
    public init(
        worker: WorkerID, host: String, lanes: Int, memoryBytes: UInt64, rowMemoryBytes: UInt64 = 0,
        regime: NumericRegime,
        build: String, connection: UInt32 = 0
    ) {
        self.worker = worker
        self.host = host
        self.lanes = lanes
        self.memoryBytes = memoryBytes
        self.rowMemoryBytes = rowMemoryBytes
        self.regime = regime
        self.build = build
        self.connection = connection
    }
}

extension LeasedUnit {
    init(_ wire: WireUnitName) throws(WireError) {
        guard !wire.job.isEmpty, wire.job.utf8.count <= 200 else {
            throw .malformed("a job's name is \"\(wire.job.excerpt)\"")
        }
        self.init(
            UnitReference(job: JobID(rawValue: wire.job), unit: UnitIndex(try count(wire.unit, "a unit"))),
            Attempt(try count(wire.attempt, "an attempt")))
    }

    var wire: WireUnitName {
        var wire = WireUnitName()
        wire.job = unit.job.rawValue
        wire.unit = UInt64(unit.unit.position)
        wire.attempt = UInt32(attempt.number)
        return wire
    }
}

extension UnitFailure {
    init(_ wire: WireUnitFailed) throws(WireError) {
        guard let kind = Kind.reported.first(where: { $0.word == wire.kind }) else {
            throw .malformed("a fault is \"\(wire.kind.excerpt)\"")
        }
        self.init(kind: kind, message: sentence(wire.message))
    }
}

/// A worker's request for bytes.
public struct RangeRequest: Equatable, Sendable {
    /// The source of the bytes.
    public enum Source: Hashable, Sendable {
        /// An input file of a job, by its position in the inventory.
        case inputFile(JobID, Int)
        /// A blob.
        case blob(BlobDigest)
    }

    /// The worker's number for the transfer.
    public var transfer: UInt64
    /// The source of the bytes.
    public var source: Source
    /// The first byte.
    public var offset: UInt64
    /// The number of bytes.
    public var byteCount: UInt64
    /// The chunks that may be sent without more credit.
    public var credit: UInt32

    /// Asks for bytes.
    public init(transfer: UInt64, source: Source, offset: UInt64, byteCount: UInt64, credit: UInt32) {
        self.transfer = transfer
        self.source = source
        self.offset = offset
        self.byteCount = byteCount
        self.credit = credit
    }

    init(_ wire: WireRangeRequest) throws(WireError) {
        guard !wire.offset.addingReportingOverflow(wire.byteCount).overflow else {
            throw .malformed("a range ends behind 2^64")
        }
        let source: Source
        switch wire.source {
        case .file(let file): source = .inputFile(JobID(rawValue: file.job), try count(file.file, "a file's index"))
        case .blob(let text): source = .blob(try digest(text))
        case nil: throw .malformed("a range request has no source")
        }
        self.init(
            transfer: wire.transfer, source: source, offset: wire.offset, byteCount: wire.byteCount,
            credit: wire.credit)
    }

    var wire: WireRangeRequest {
        var wire = WireRangeRequest()
        wire.transfer = transfer
        wire.offset = offset
        wire.byteCount = byteCount
        wire.credit = credit
        switch source {
        case .inputFile(let job, let file):
            wire.file.job = job.rawValue
            wire.file.file = UInt32(file)
        case .blob(let digest): wire.blob = digest.description
        }
        return wire
    }
}

extension WorkerMessage {
    init(_ wire: WireWorkerMessage) throws(WireError) {
        switch wire.body {
        case .hello(let hello): self = .hello(try WorkerHello(hello))
        case .heartbeat(let heartbeat):
            self = .heartbeat(
                WorkerID(rawValue: heartbeat.worker),
                try list(heartbeat.progress, "the list of units") { progress throws(WireError) in
                    UnitProgress(unit: try LeasedUnit(progress.unit), steps: progress.steps)
                })
        case .started(let unit): self = .started(try LeasedUnit(unit))
        case .finished(let finished):
            self = .finished(
                try LeasedUnit(finished.unit), try UnitResult(finished.result),
                elapsedSeconds: try seconds(finished.elapsedSeconds),
                kernelSeconds: try seconds(finished.kernelSeconds))
        case .failed(let failed): self = .failed(try LeasedUnit(failed.unit), try UnitFailure(failed))
        case .rangeRequest(let request): self = .rangeRequest(try RangeRequest(request))
        case .rangeCredit(let credit): self = .rangeCredit(transfer: credit.transfer, chunks: credit.chunks)
        case .uploadOffer(let offer):
            self = .uploadOffer(transfer: offer.transfer, try BlobReference(offer.blob))
        case .uploadChunk(let chunk): self = .uploadChunk(transfer: chunk.transfer, offset: chunk.offset)
        case .goodbye(let goodbye): self = .goodbye(reason: sentence(goodbye.reason))
        case .held(let held):
            self = .held(
                try list(held.blobs, "the list of blobs") { blob throws(WireError) in try BlobReference(blob) })
        case .dropped(let dropped): self = .dropped(try list(dropped.digests, "the list of blobs", digest))
        case .collectFailure(let failure):
            self = .collectFailure(try digest(failure.blob), message: sentence(failure.message))
        case .draining(let draining): self = .draining(reason: sentence(draining.reason))
        case .rowsTaken(let taken): self = .rowSum(.taken(try RowSumName(taken.sum)))
        case .rowSumFailed(let failed): self = .rowSum(try RowSumWord(failed: failed))
        case .rowSumChunk(let chunk): self = .rowSum(.bytes(try RowSumName(chunk.sum), offset: chunk.offset))
        case nil: throw .malformed("a worker's message has no body")
        }
    }

    var wire: WireWorkerMessage {
        var wire = WireWorkerMessage()
        switch self {
        case .hello(let hello): wire.hello = hello.wire
        case .heartbeat(let worker, let progress):
            wire.heartbeat.worker = worker.rawValue
            wire.heartbeat.progress = progress.map { progress in
                var wire = WireUnitProgress()
                wire.unit = progress.unit.wire
                wire.steps = progress.steps
                return wire
            }
        case .started(let unit): wire.started = unit.wire
        case .finished(let unit, let result, let elapsed, let kernel):
            wire.finished.unit = unit.wire
            wire.finished.result = result.wire
            wire.finished.elapsedSeconds = elapsed
            wire.finished.kernelSeconds = kernel
        case .failed(let unit, let failure):
            wire.failed.unit = unit.wire
            wire.failed.kind = failure.kind.word
            wire.failed.message = failure.message
        case .rangeRequest(let request): wire.rangeRequest = request.wire
        case .rangeCredit(let transfer, let chunks):
            wire.rangeCredit.transfer = transfer
            wire.rangeCredit.chunks = chunks
        case .uploadOffer(let transfer, let blob):
            wire.uploadOffer.transfer = transfer
            wire.uploadOffer.blob = blob.wire
        case .uploadChunk(let transfer, let offset):
            wire.uploadChunk.transfer = transfer
            wire.uploadChunk.offset = offset
        case .goodbye(let reason): wire.goodbye.reason = reason
        case .held(let blobs): wire.held.blobs = blobs.map(\.wire)
        case .dropped(let digests): wire.dropped.digests = digests.map(\.description)
        case .collectFailure(let blob, let message):
            wire.collectFailure.blob = blob.description
            wire.collectFailure.message = message
        case .draining(let reason): wire.draining.reason = reason
        case .rowSum(let word): word.write(to: &wire)
        }
        return wire
    }
}

extension WorkerHello {
    init(_ wire: WireWorkerHello) throws(WireError) {
        guard !wire.worker.isEmpty, wire.worker.utf8.count <= 200, wire.host.utf8.count <= 300 else {
            throw .malformed("a worker's name is empty or too long")
        }
        let texts = [wire.worker, wire.host, wire.regime.kernels, wire.regime.elements, wire.build]
        guard texts.allSatisfy({ $0.utf8.count <= 1000 && $0 == $0.printable }) else {
            throw .malformed("a worker's name, or what it says of itself, is too long or cannot be printed")
        }
        for bytes in [wire.memoryBytes, wire.rowMemoryBytes] where bytes > WireLimits.memoryBytesMax {
            throw .malformed("a worker's memory is \(bytes) bytes")
        }
        let lanes = try count(wire.lanes, "the number of lanes", most: 4096)
        guard lanes > 0 else { throw .malformed("a worker has no lanes") }
        self.init(
            worker: WorkerID(rawValue: wire.worker), host: wire.host, lanes: lanes, memoryBytes: wire.memoryBytes,
            rowMemoryBytes: wire.rowMemoryBytes, regime: NumericRegime(wire.regime), build: wire.build,
            connection: wire.connection)
    }

    var wire: WireWorkerHello {
        var wire = WireWorkerHello()
        wire.worker = worker.rawValue
        wire.host = host
        wire.lanes = UInt32(lanes)
        wire.memoryBytes = memoryBytes
        wire.rowMemoryBytes = rowMemoryBytes
        wire.regime = regime.wire
        wire.build = build
        wire.connection = connection
        return wire
    }
}

extension NumericRegime {
    init(_ wire: WireNumericRegime) {
        self.init(kernels: wire.kernels, elements: wire.elements)
    }

    var wire: WireNumericRegime {
        var wire = WireNumericRegime()
        wire.kernels = kernels
        wire.elements = elements
        return wire
    }
}

extension UnitResult {
    init(_ wire: WireUnitResult) throws(WireError) {
        var measurements: [MeasurementName: [Double]] = [:]
        for measurement in wire.measurements {
            measurements[try word(measurement.name, "a measurement")] = measurement.values
        }
        self.init(
            blobs: try list(wire.blobs, "a unit's blobs") { blob throws(WireError) in try BlobReference(blob) },
            measurements: measurements)
        guard !wire.placed.isEmpty else { return }
        let checksums = try list(wire.placed, "the placed blobs") { blob throws(WireError) in
            (
                try count(blob.position, "a placed blob's position"),
                Checksum(high: blob.checksumHigh, low: blob.checksumLow)
            )
        }
        guard checksums.allSatisfy({ blobs.indices.contains($0.0) }) else {
            throw .malformed("a result places a blob that it does not have")
        }
        placed = Dictionary(checksums) { $1 }
    }

    var wire: WireUnitResult {
        var wire = WireUnitResult()
        wire.blobs = blobs.map(\.wire)
        wire.measurements = measurements.sorted { $0.key.rawValue < $1.key.rawValue }.map { name, values in
            var wire = WireMeasurement()
            wire.name = name.rawValue
            wire.values = values
            return wire
        }
        wire.placed = (placed ?? [:]).sorted { $0.key < $1.key }.map { position, checksum in
            var wire = WirePlacedBlob()
            wire.position = UInt32(position)
            wire.checksumHigh = checksum.high
            wire.checksumLow = checksum.low
            return wire
        }
        return wire
    }
}
