import Hashing
import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

/// A message of each family, with every field different from its default.
enum WireMessages {
    /// All messages by name.
    static let all: [(name: String, message: WireMessage)] =
        [("refusal", .refusal(PeerRefusal(supportedVersion: 7, message: "update")))]
        + workerMessages.map { ("worker \($0.name)", .worker($0.message)) }
        + coordinatorMessages.map { ("coordinator \($0.name)", .coordinator($0.message)) }
        + leases.map { ("lease \($0.name)", .coordinator(.order(.lease($0.lease)))) }
        + [
            ("joined words", .workerSequence([.started(unit), .dropped([digest(1)]), .held([blob(2)])])),
            ("joined orders", .coordinatorSequence([.order(.lease(leases[0].lease)), .order(.revoke(unit))])),
        ]
        + requests.map { ("request \($0.name)", .request(.max, $0.request)) }
        + replies.map { ("reply \($0.name)", .reply(3, $0.reply)) }

    static let unit = LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(7)), Attempt(2))
    static let hello = WorkerHello(
        worker: "node3-4711",
        host: "node3",
        lanes: 4,
        memoryBytes: 1 << 35,
        regime: NumericRegime(kernels: "Haswell", elements: "fp32"),
        build: "0.1.0"
    )

    static func digest(_ byte: UInt8) -> BlobDigest {
        guard let digest = BlobDigest(bytes: [UInt8](repeating: byte, count: BlobDigest.byteCount)) else {
            preconditionFailure("a digest has \(BlobDigest.byteCount) bytes")
        }
        return digest
    }

    static func blob(_ byte: UInt8) -> BlobReference {
        BlobReference(digest: digest(byte), byteCount: UInt64(byte) << 33)
    }

    // MARK: - Workers

    private static let inPlace: UnitResult = {
        var result = UnitResult(blobs: [blob(1), blob(2), blob(3)])
        result.placed = [0: Checksum(high: 1, low: .max), 2: Checksum(high: 0, low: 3)]
        return result
    }()

    private static let workerMessages: [(name: String, message: WorkerMessage)] = [
        ("hello", .hello(hello)), ("heartbeat", .heartbeat("node3-4711", [])),
        ("heartbeat with progress", .heartbeat("node3-4711", [UnitProgress(unit: unit, steps: .max)])),
        ("started", .started(unit)),
        (
            "finished",
            .finished(
                unit,
                UnitResult(
                    blobs: [blob(1), blob(2)],
                    measurements: [.trace: [1.5], .penalties: [0, -0.0, .infinity], .innerProducts: []]
                ),
                elapsedSeconds: 2.5,
                kernelSeconds: 2.25
            )
        ),
        ("finished in place", .finished(unit, inPlace, elapsedSeconds: 1, kernelSeconds: 1)),
        ("finished with nothing", .finished(unit, UnitResult(), elapsedSeconds: 0, kernelSeconds: 0)),
        ("failed on bad input", .failed(unit, UnitFailure(kind: .badInput, message: "row 3 holds NaN"))),
        ("failed", .failed(unit, UnitFailure(kind: .world, message: "no memory"))),
        ("failed for a full disk", .failed(unit, UnitFailure(kind: .noSpace, message: "the disk is full"))),
        ("failed for a lost blob", .failed(unit, UnitFailure(kind: .inputMissing, message: "gone"))),
        ("held", .held([blob(1), blob(2)])), ("dropped", .dropped([digest(1), digest(2)])),
        ("collect failure", .collectFailure(digest(7), message: "gone")), ("draining", .draining(reason: "SIGTERM")),
        (
            "range of a file",
            .rangeRequest(
                RangeRequest(
                    transfer: .max,
                    source: .inputFile("job-1", 3),
                    offset: 1 << 40,
                    byteCount: .max - 1 << 40,
                    credit: 8
                )
            )
        ),
        (
            "range of a blob",
            .rangeRequest(RangeRequest(transfer: 1, source: .blob(digest(9)), offset: 0, byteCount: .max, credit: .max))
        ),
        ("range credit", .rangeCredit(transfer: 5, chunks: 3)),
        ("upload offer", .uploadOffer(transfer: 6, blob(3))),
        ("upload chunk", .uploadChunk(transfer: 6, offset: 1 << 33)), ("goodbye", .goodbye(reason: "told to stop")),
    ]

    private static let coordinatorMessages: [(name: String, message: CoordinatorMessage)] = [
        (
            "welcome",
            .welcome(coordinator: "head", heartbeatInterval: .milliseconds(1500), idleHeartbeatInterval: .seconds(2))
        ),
        ("unknown worker", .unknownWorker), ("revoke", .order(.revoke(unit))),
        ("range chunk", .rangeChunk(transfer: 4, offset: .max)),
        ("range failure", .rangeFailure(transfer: 4, message: "gone")),
        ("upload credit", .uploadCredit(transfer: 4, chunks: 8)), ("upload stored", .uploadStored(transfer: .max)),
        ("upload failure", .uploadFailure(transfer: 4, message: "the disk is full")),
        ("collect", .order(.collect(digest(5)))), ("discard", .order(.discard([digest(5), digest(6)]))),
        ("drain", .order(.drain)), ("dismiss", .order(.dismiss)),
    ]

    // MARK: - Leases

    static let factor = FactorOperation(
        columns: 768,
        appendsOnes: true,
        elementType: .bf16,
        rowSlices: [
            RowSlice(
                slice: FileSlice(file: 2, offset: 1 << 40, byteCount: 768 * 2 * 100), rows: 100, firstRow: 1 << 40),
            RowSlice(slice: FileSlice(file: 0, offset: 8, byteCount: 0), rows: 0),
        ],
        chunkRows: 4096,
        reduction: .mean(positions: 197),
        divisor: 0.1
    )

    static let indexFactor = IndexFactorOperation(
        indexCount: 50_257, appendsOnes: false, indexType: .i64,
        rowSlices: [RowSlice(slice: FileSlice(file: 5, offset: 80, byteCount: 800), rows: 100, firstRow: 3)],
        chunkRows: 4096,
        sampleNumbers: [
            SampleNumbers(slice: FileSlice(file: 5, offset: 880, byteCount: 400), isWide: false, samples: 9)
        ], divisor: 9)

    static let optimalSums = OptimalAccumulateOperation(
        inputShape: .full(3), gradientShape: .full(4), weights: [1, 2], rank: 2, exclusions: [1, nil], scale: .paper)

    static let leases: [(name: String, lease: UnitLease)] = [
        (
            "of files",
            lease(
                factor,
                files: [
                    2: LeasedFile(path: "/data/a.safetensors", byteCount: 1 << 42, headerDigest: digest(10)),
                    0: LeasedFile(path: "/data/é.safetensors", byteCount: 0, headerDigest: digest(11)),
                ])
        ),
        (
            "of blobs and numbers",
            lease(optimalSums, UnitInputs(blobs: (1...4).map(blob), numbers: [[1, 2, -0.0, .infinity], []]))
        ),
        (
            "of indices",
            lease(
                indexFactor,
                files: [5: LeasedFile(path: "/data/ids.safetensors", byteCount: 1 << 20, headerDigest: digest(12))])
        ),
        (
            "of uses",
            lease(
                SumUsesOperation(inputShape: .diagonal(50_257), gradientShape: .full(768), useCount: 2),
                UnitInputs(blobs: (1...4).map(blob)))
        ),
        ("with places", placed),
    ]

    /// A lease whose output belongs into two staged files.
    static let placed: UnitLease = {
        let file = LeasedFile(path: "/out/.f.safetensors.staged", byteCount: 1 << 30, headerDigest: digest(13))
        var placed = lease(factor, files: [2: file, 0: file])
        placed.isBrief = true
        placed.places = [nil, 769].map { rows in
            OutputPlace(position: 0, file: file, offset: 4096, squareRows: rows, isOnlyCopy: rows != nil)
        }
        return placed
    }()

    /// A lease of an operation.
    static func lease(
        _ operation: any UnitOperation, _ inputs: UnitInputs = UnitInputs(), files: [Int: LeasedFile] = [:]
    ) -> UnitLease {
        UnitLease(
            leased: unit,
            title: "factor \"blocks.0.fc.A\" of task \"a\"",
            subject: "blocks.0.fc.input",
            operation: operation,
            inputs: inputs,
            files: files
        )
    }

    // MARK: - Clients

    private static let submission = Submission(
        specText: "merge_method: kfac\n# é\n",
        specPath: "/home/u/job.yaml",
        overwrites: true
    )
    private static let submissionElsewhere = Submission(
        specText: "",
        specPath: "",
        overwrites: false,
        output: "/scratch/out"
    )

    private static let requests: [(name: String, request: ClientRequest)] = [
        ("submit", .submit(submission)), ("plan", .plan(submission)),
        ("submit elsewhere", .submit(submissionElsewhere)), ("jobs", .jobs), ("status", .status("job-1")),
        ("cancel", .cancel("job-1")), ("workers", .workers), ("drain", .drain("node3-4711")),
        ("outputs", .outputs("job-1")), ("log", .log("job-1", after: 7)),
        (
            "push offer",
            .pushOffer(
                PushOffer(
                    run: "monday", place: PartialsPlace(rank: 1 << 31 - 1, sequence: 7), host: "node3",
                    content: .file(blob(1))))
        ),
        ("push chunk", .pushChunk(offset: .max)), ("runs", .runs), ("remove run", .removeRun("monday")),
        ("output range", .outputRange("job-1", path: "merged/model.safetensors", offset: .max - 5, byteCount: 5)),
    ]

    static let job = JobReport(
        job: "job-1",
        specPath: "/home/u/job.yaml",
        submittedAt: 1.75e9,
        finishedUnits: 12,
        totalUnits: 40,
        fraction: 0.375,
        state: .running,
        message: "waits for memory",
        output: "/home/u/out",
        activity: "merge of \"fc\"",
        elapsedSeconds: 12.5,
        leftSeconds: 40
    )

    private static var otherJob: JobReport {
        var other = job
        (other.state, other.fraction, other.finishedUnits) = (.badInput, 1, 1 << 31)
        return other
    }

    /// A worker's build is not part of its report.
    private static var workerReport: WorkerReport {
        var known = hello
        known.build = ""
        return WorkerReport(hello: known, leasedUnits: 3, startedUnits: 1, finishedUnits: 99)
    }

    private static let run = RunReport(
        run: "monday", senders: ["ci on node3", "boss"], ranks: 4, files: 7, unfinishedFiles: 1, missing: 1 << 40,
        arrivedBytes: 5, announcedBytes: .max, ageSeconds: 3600.5, idleSeconds: 2.5, jobs: ["job-1"])

    private static let replies: [(name: String, reply: ClientReply)] = [
        (
            "failure",
            .failure(
                RequestFailure(
                    kind: .badInput,
                    problems: [JobProblem(at: "job.yaml:3:1", "no."), JobProblem(at: "", "")]
                )
            )
        ),
        ("unknown job", .failure(RequestFailure(kind: .unknownJob, problems: []))),
        ("accepted", .accepted("job-1", isRunningAlready: true, notices: [JobNotice(at: "job.yaml:4:5", "x.")])),
        (
            "plan",
            .plan(
                PlanSummary(
                    stages: [
                        .init(
                            name: "factors",
                            units: 8,
                            multiplyAdds: 1e15,
                            inputBytes: 1,
                            outputBytes: .max,
                            memoryBytesMax: 1 << 40
                        )
                    ],
                    largestUnit: "factor",
                    layers: 24,
                    parameters: 13,
                    tasks: 4,
                    wireBytes: 5,
                    diskBytes: .max,
                    regularizer: "optimal of rank 2"
                )
            )
        ),
        ("jobs", .jobs([job, otherJob])), ("no jobs", .jobs([])), ("workers", .workers([workerReport])),
        ("outputs", .outputs([OutputFile(path: "report.json", byteCount: 9), OutputFile(path: "", byteCount: 0)])),
        ("output chunk", .outputChunk(offset: 1 << 40)), ("progress", .progress("is being planned")),
        ("push", .push(PushState(offset: .max, credit: 8, isWhole: true))),
        ("busy", .failure(RequestFailure(kind: .busy, problems: []))),
        ("runs", .runs(RunList(runs: [run], byteCount: .max, byteCountMax: 1))),
        ("some runs of many", .cut(.runs(RunList(runs: [run], byteCount: 1, byteCountMax: 2)), further: 3)),
        ("some jobs of many", .cut(.jobs([job]), further: 7)),
        (
            "log",
            .log(
                [JobLogLine(number: 8, time: "2026-11-24T09:00:00.000Z", level: "warning", text: "a lease ended")],
                isComplete: true)
        ),
    ]
}
