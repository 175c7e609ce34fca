import Foundation
import Identifiers
import JobJournal
import Scheduling
import Testing
import UnitOperations

/// The numeric regime of recorded results.
struct RecordedRegimeTests {
    private let key = UnitKey(digest: BlobDigest(sha256: [UInt8](repeating: 7, count: BlobDigest.byteCount)))

    private func record(_ key: ResultKey?) -> JournalRecord {
        .unitFinished(
            UnitReference(job: "job-1", unit: UnitIndex(3)), .worker("w1"), UnitResult(),
            UnitTiming(elapsedSeconds: 1, kernelSeconds: 0), key)
    }

    @Test func `a result is recorded with its regime`() throws {
        let regime = NumericRegime(kernels: "OpenBLAS 0.3.26 Haswell", elements: "fp32")
        for record in [record(nil), record(ResultKey(key, in: regime))] {
            let row = try JournalRow(record)
            #expect(try JournalRow.record(kind: row.kind.rawValue, body: row.body) == record)
        }
    }

    @Test func `a result without a regime is read, and is nothing that later jobs know`() throws {
        let row = try JournalRow(record(ResultKey(key, in: .unnamed)))
        let text = String(decoding: row.body, as: UTF8.self)
        let old = text.replacing(",\"regime\":{\"elements\":\"\",\"kernels\":\"\"}", with: "")
        #expect(old != text)
        #expect(try JournalRow.record(kind: row.kind.rawValue, body: Data(old.utf8)) == record(nil))
    }
}
