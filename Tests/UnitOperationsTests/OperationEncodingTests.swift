import Identifiers
import TestSupport
import Testing

@testable import UnitOperations

/// The encoding for leases and keys keeps everything that an operation holds.
struct OperationEncodingTests {
    @Test func `every operation has a kind of its own, and an example here`() {
        let kinds = OperationRegistry.operations.map { $0.kind }
        #expect(Set(kinds).count == kinds.count)
        #expect(Set(OperationExample.all.map(\.operation.kind)) == Set(kinds))
    }

    @Test(arguments: OperationExample.all)
    func `an operation is read as it was written`(example: OperationExample) throws {
        for operation in [example.operation] + example.variants {
            // The shape of a variant may be inconsistent. Such a variant is encoded but not decoded.
            guard operation.equals(example.operation) || operation is any SoundVariant else { continue }
            let read = try EncodedOperation(operation).decoded()
            #expect(read.equals(operation), "\(operation)")
        }
    }

    /// A new field fails here if the encoding or the changes do not have it.
    @Test(arguments: OperationExample.all)
    func `each field alone changes the encoding and the key`(example: OperationExample) {
        let (fields, original) = (leaves(of: example.operation), EncodedOperation(example.operation))
        var alone: Set<String> = []
        var keys: Set<UnitKey> = [key(example.operation)]
        for variant in example.variants {
            let changed = leaves(of: variant)
            let differing = Set(fields.keys).union(changed.keys).filter { fields[$0] != changed[$0] }
            #expect(!differing.isEmpty)
            // A value with fields of its own in place of one without changes one field.
            let own = differing.filter { fields[$0] != nil }
            if own.count == 1, let field = own.first,
                differing.allSatisfy({ $0 == field || $0.hasPrefix("\(field).") })
            {
                alone.insert(field)
            }
            #expect(EncodedOperation(variant) != original, "\(differing)")
            keys.insert(key(variant))
        }
        #expect(keys.count == example.variants.count + 1, "two variants of \(example.operation.kind) have one key")
        #expect(Set(fields.keys).subtracting(alone) == [], "no variant changes these fields alone")
    }

    @Test func `no two of all operations and their variants have one encoding`() {
        let all = OperationExample.all.flatMap { [$0.operation] + $0.variants }
        #expect(Set(all.map { EncodedOperation($0) }).count == all.count)
    }

    @Test func `files are numbered as they are first read, wherever they stand in the job`() throws {
        var operation = OperationExample.partialFactor
        let encoded = EncodedOperation(operation)
        #expect(encoded.files == [4, 2])
        operation.rowSlices[0].slice.file = 1
        operation.rowSlices[1].slice.file = 3
        #expect(EncodedOperation(operation).bytes == encoded.bytes)
        #expect(EncodedOperation(operation).files == [1, 3])
    }

    @Test func `each example says how much it reads and makes`() {
        let counts = OperationExample.all.map(\.operation).map {
            [$0.slices.count, $0.inputBlobCount, $0.inputNumberCount, $0.outputBlobCount]
        }
        #expect(
            counts == [
                [2, 0, 0, 1], [4, 0, 0, 1], [2, 0, 0, 1], [2, 0, 0, 1], [0, 4, 0, 2], [1, 0, 0, 1], [1, 0, 0, 1],
                [2, 0, 0, 1], [6, 0, 0, 0], [2, 0, 0, 0], [0, 1, 5, 1], [0, 1, 0, 1], [0, 2, 0, 1], [0, 2, 0, 3],
                [0, 4, 2, 8],
                [4, 0, 1, 1], [2, 0, 0, 0], [2, 0, 0, 0], [0, 0, 8, 0], [2, 0, 3, 1], [0, 2, 1, 1], [0, 3, 1, 1],
                [0, 3, 3, 1], [2, 1, 0, 1],
                [0, 3, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1], [11, 2, 0, 0],
                [5, 1, 0, 0], [8, 2, 0, 1], [4, 1, 1, 1], [0, 3, 0, 0], [11, 0, 0, 0], [12, 10, 0, 2], [0, 12, 0, 2],
                [0, 5, 2, 2], [0, 4, 4, 1], [12, 8, 3, 0], [0, 0, 3, 0],
            ])
    }

    private func key(_ operation: any UnitOperation) -> UnitKey {
        UnitKey(of: operation, inputs: UnitInputs(), files: OperationExample.files)
    }

    /// The leaf values of a value, by their paths.
    private func leaves(of value: Any, at path: String = "") -> [String: String] {
        let mirror = Mirror(reflecting: value)
        let children = mirror.children
        // A wrapped value has the same path as `nil` would have.
        if mirror.displayStyle == .optional, let some = children.first { return leaves(of: some.value, at: path) }
        guard !children.isEmpty else { return [path: String(reflecting: value)] }
        var found: [String: String] = [:]
        for (position, child) in children.enumerated() {
            found.merge(leaves(of: child.value, at: "\(path).\(child.label ?? String(position))")) { first, _ in first }
        }
        return found
    }
}

/// Operations that stay valid if one field is changed alone.
private protocol SoundVariant {}

extension ImportOperation: SoundVariant {}
extension BalanceOperation: SoundVariant {}
extension CombineOperation: SoundVariant {}
extension AccumulateOperation: SoundVariant {}
extension OptimalAccumulateOperation: SoundVariant {}
extension InvertOperation: SoundVariant {}
extension CompressOperation: SoundVariant {}
extension PenaltyOperation: SoundVariant {}
extension NormOperation: SoundVariant {}
extension MergeOperation: SoundVariant {}
extension CombineStatisticsOperation: SoundVariant {}
