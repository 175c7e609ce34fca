import Identifiers
import JobPlan
import Testing
import UnitOperations

/// The inputs of a plan's units, and the units that are the same work.
struct PlannedKeyTests {
    @Test func `a unit has a key once its inputs are known, and files have none`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"], rest: ["outputs: [regularizer]"]))
        let sums = try #require(plan.units.first { $0.stage == .accumulate })
        let digest = BlobDigest(sha256: [UInt8](repeating: 3, count: BlobDigest.byteCount))
        let result = UnitResult(blobs: [BlobReference(digest: digest, byteCount: 4)])
        #expect(plan.key(of: sums) { _ in nil } == nil)
        #expect(plan.key(of: sums) { _ in result } != nil)
        let file = try #require(plan.units.first { $0.stage == .assemble })
        #expect(plan.key(of: file) { _ in result } == nil)
    }

    @Test func `sums in the optimal form have a key once their inner products are measured`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"],
                rest: ["kfac: {regularizer: {form: optimal}}", "outputs: [regularizer]"]))
        let sums = try #require(plan.units.first { $0.operation is OptimalAccumulateOperation })
        let digest = BlobDigest(sha256: [UInt8](repeating: 3, count: BlobDigest.byteCount))
        func key(_ products: [Double]?) -> UnitKey? {
            plan.key(of: sums) { unit in
                var result = UnitResult(blobs: [BlobReference(digest: digest, byteCount: 4)])
                result.measurements[.innerProducts] = products
                return result
            }
        }
        #expect(sums.inputNumbers.count == 2)
        #expect(key(nil) == nil)
        #expect(key([1, 2, 2, 4]) != nil)
        #expect(key([1, 2, 2, 4]) != key([1, 2, 2, 5]))
    }

    @Test func `a file is made of the blobs of its own target only`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"],
                rest: ["outputs: [regularizer, inverses]"]))
        for unit in plan.units where !unit.isForWorker {
            switch unit.work {
            case .coordinator(.assembleRegularizer(.without("a"))):
                #expect(plan.blobs(readBy: unit).allSatisfy { $0.position == 0 })
                #expect(plan.blobs(readBy: unit).count == plan.blocks.flatMap(\.factors).count)
            case .coordinator(.assembleRegularizer(.without("b"))):
                #expect(plan.blobs(readBy: unit).allSatisfy { $0.position == 1 })
            case .coordinator(.assembleInverses):
                #expect(plan.blobs(readBy: unit).allSatisfy { plan.units[$0.unit.position].stage == .invert })
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
