import Foundation
import Hashing
import Identifiers
import Scheduling
import Testing
import UnitOperations

@testable import JobJournal

/// The bodies of finished units, which are written without an encoder.
@Suite struct FinishedUnitTextTests {
    private static let digest = BlobDigest(sha256: (0..<BlobDigest.byteCount).map { UInt8($0) })

    private static var results: [UnitResult] {
        var placed = UnitResult(
            blobs: [BlobReference(digest: digest, byteCount: .max), BlobReference(digest: digest, byteCount: 0)],
            measurements: [
                .trace: [1, 0.1, -0.0, 1e-300, 1e22, 123_456_789], .condition: [], .rank: [.leastNonzeroMagnitude],
            ])
        placed.placed = [0: Checksum(high: 1, low: .max), 2: Checksum(high: 0, low: 0)]
        return [UnitResult(), placed]
    }

    private static let executors: [UnitExecutorName] = [
        .coordinator, .earlierWork, .worker("w\\1 \"ü\"/\n\u{1}\u{7F}"),
    ]

    private func body(
        _ result: UnitResult, _ executor: UnitExecutorName, _ key: ResultKey?
    ) throws -> (text: String, encoded: String) {
        let unit = UnitReference(job: "job-1", unit: UnitIndex(12))
        let duration = UnitTiming(elapsedSeconds: 0.25, kernelSeconds: 1)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let encoded = try encoder.encode(
            JournalRow.Finished(
                unit: unit, executor: executor, result: result, duration: duration, key: key?.unit,
                regime: key?.regime))
        let text = FinishedUnitText.body(of: unit, by: executor, result, in: duration, key: key)
        return (String(decoding: text, as: UTF8.self), String(decoding: encoded, as: UTF8.self))
    }

    @Test(arguments: Self.executors) func `a body has the bytes of Foundation's encoder`(
        executor: UnitExecutorName
    ) throws {
        let key = ResultKey(UnitKey(digest: Self.digest), in: NumericRegime(kernels: "A B", elements: "fp32"))
        for result in Self.results {
            for key in [nil, key] {
                let (text, encoded) = try body(result, executor, key)
                #expect(text == encoded)
            }
        }
    }

    @Test func `numbers that JSON does not have are read back`() throws {
        let result = UnitResult(measurements: [.largestEigenvalue: [.nan, .infinity, -.infinity, 2]])
        let record = JournalRecord.unitFinished(
            UnitReference(job: "job-1", unit: UnitIndex(0)), .coordinator, result,
            UnitTiming(elapsedSeconds: 0, kernelSeconds: 0), nil)
        let row = try JournalRow(record)
        guard case .unitFinished(_, _, let read, _, _) = try JournalRow.record(kind: row.kind.rawValue, body: row.body)
        else {
            Issue.record("the row is no finished unit")
            return
        }
        #expect(read.agrees(with: result))
    }
}
