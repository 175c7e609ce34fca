import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Testing

struct UnitKeyTests {
    private static let files = [file("/a", modified: 1), file("/b", modified: 1)]

    private static func file(_ path: String, modified: Int64, bytes: UInt64 = 100, header: UInt8 = 1) -> InputFile {
        InputFile(
            path: path, byteCount: bytes, modificationTime: modified, headerDigest: digest(header), role: "capture")
    }

    private static func digest(_ byte: UInt8) -> BlobDigest {
        BlobDigest(sha256: [UInt8](repeating: byte, count: BlobDigest.byteCount))
    }

    private static func factor(file: Int = 0, rows: Int = 4, divisor: Double? = 4) -> WorkerOperation<BlobDigest> {
        .factor(
            FactorOperation(
                tensor: "fc.input", columns: 3, appendsOnes: true, elementType: .f32,
                slices: [RowSlice(slice: FileSlice(file: file, offset: 8, byteCount: UInt64(12 * rows)), rows: rows)],
                chunkRows: 4, reduction: .none, divisor: divisor))
    }

    private static func sums(_ factors: [UInt8], weights: [Double] = [1, 2], without: [Int?] = [0, nil])
        -> WorkerOperation<BlobDigest>
    {
        .accumulate(
            AccumulateOperation(
                side: .input, dimension: 4, factors: factors.map(digest), weights: weights, exclusions: without,
                scale: .paper))
    }

    @Test func `the same operation on the same inputs has the same key`() {
        #expect(
            UnitKey(of: Self.factor(), files: Self.files) == UnitKey(of: Self.factor(), files: Self.files))
        // Neither the file's position among a job's files nor the job's other files matter.
        #expect(
            UnitKey(of: Self.factor(file: 1), files: [Self.files[1], Self.files[0]])
                == UnitKey(of: Self.factor(), files: [Self.files[0]]))
    }

    @Test func `whatever changes the result changes the key`() {
        let keys = [
            UnitKey(of: Self.factor(), files: Self.files),
            UnitKey(of: Self.factor(rows: 5), files: Self.files),
            UnitKey(of: Self.factor(divisor: 5), files: Self.files),
            UnitKey(of: Self.factor(divisor: nil), files: Self.files),
            UnitKey(of: Self.factor(file: 1), files: Self.files),
            UnitKey(of: Self.factor(), files: [Self.file("/a", modified: 2)]),
            UnitKey(of: Self.factor(), files: [Self.file("/a", modified: 1, bytes: 101)]),
            UnitKey(of: Self.factor(), files: [Self.file("/a", modified: 1, header: 2)]),
            UnitKey(of: Self.sums([1, 2]), files: []), UnitKey(of: Self.sums([2, 1]), files: []),
            UnitKey(of: Self.sums([1, 2], weights: [2, 1]), files: []),
            UnitKey(of: Self.sums([1, 2], without: [nil, 0]), files: []),
            UnitKey(of: Self.sums([1, 2], without: [0]), files: []),
            UnitKey(
                of: .invert(
                    InvertOperation(
                        factor: Self.digest(1), dimension: 4, isFullBlock: false,
                        damping: DampingSpec(rule: .absolute, value: 1))),
                files: []),
            UnitKey(
                of: .invert(
                    InvertOperation(
                        factor: Self.digest(1), dimension: 4, isFullBlock: true,
                        damping: DampingSpec(rule: .absolute, value: 1))),
                files: []),
            UnitKey(
                of: .combine(CombineOperation(parts: [Self.digest(1)], dimension: 4, divisor: 1)), files: []),
        ]
        #expect(Set(keys).count == keys.count)
    }

    @Test func `a unit has a key once its inputs are known, and files have none`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"], rest: ["outputs: [regularizer]"]))
        let sums = try #require(plan.units.first { $0.stage == "accumulate" })
        #expect(plan.key(of: sums) { _ in nil } == nil)
        #expect(plan.key(of: sums) { _ in Self.digest(3) } != nil)
        let file = try #require(plan.units.first { $0.stage == "write files" })
        #expect(plan.key(of: file) { _ in Self.digest(3) } == nil)
    }

    @Test func `a file is made of the blobs of its own target only`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"],
                rest: ["outputs: [regularizer, inverses]"]))
        for unit in plan.units where !unit.isForWorker {
            switch unit.operation {
            case .coordinator(.assembleRegularizer(.without("a"))):
                #expect(plan.blobs(readBy: unit).allSatisfy { $0.position == 0 })
                #expect(plan.blobs(readBy: unit).count == plan.blocks.flatMap(\.factors).count)
            case .coordinator(.assembleRegularizer(.without("b"))):
                #expect(plan.blobs(readBy: unit).allSatisfy { $0.position == 1 })
            case .coordinator(.assembleInverses):
                #expect(plan.blobs(readBy: unit).allSatisfy { plan.units[$0.unit.position].stage == "invert" })
            default: #expect(plan.blobs(readBy: unit).isEmpty)
            }
        }
    }

    @Test func `a layer's units form a group, and layers that share rows share one`() throws {
        let model = SmallModel(
            layers: [SmallModel.Layer(name: "k"), SmallModel.Layer(name: "other"), SmallModel.Layer(name: "q")],
            parameters: [])
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]), model: model
        ) { $0.captures["a"]?.layers["q"]?.sharedInput = "k" }
        func group(_ name: String) -> Int? { plan.units.first { $0.title.contains("\"\(name).B\"") }?.group }
        #expect(group("q") == group("k"))
        #expect(group("other") != group("k"))
        #expect(plan.units.filter { !$0.isForWorker }.allSatisfy { $0.group == nil })
    }
}
