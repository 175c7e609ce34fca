import FileAccess
import Identifiers
import JobFiles
import PushedRuns
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Files whose rows were streamed.
struct StreamedFileTests {
    private let directory: TemporaryDirectory
    private var runs: FilePath { FilePath(directory.appending("runs")) }
    private let at = RunPlace(run: "monday", place: PartialsPlace(rank: 0, sequence: 0))

    init() throws { directory = try TemporaryDirectory() }

    private func store(_ quota: RunQuota = .bytes(1 << 20)) throws -> RunStore {
        try RunStore(opening: runs, quota: quota)
    }

    /// Two tensors that share a sum, and their gradients.
    private func draft() throws -> PartialsDraft {
        try PartialsDraft(
            of: [(["q.A", "k.A"], 2), (["q.B"], 1), (["k.B"], 1)],
            metadata: [
                "task": "cars", "probes": "1", "normalization": "tak", "bias": #"{"q":false,"k":false}"#,
            ], run: at.run, place: at.place, file: "the stream")
    }

    private func write(_ sums: [[Double]], _ draft: PartialsDraft, to store: RunStore) throws -> StreamedFile {
        let metadata = try draft.metadata(rows: [3, 3, 3], committed: ["samples": "3"])
        let file = try store.beginFile(at: at, draft, metadata)
        for (sum, elements) in zip(draft.sums, sums) {
            for (index, element) in elements.enumerated() {
                let bytes = withUnsafeBytes(of: element.bitPattern.littleEndian, Array.init)
                try file.write(bytes.span.bytes, to: sum, at: UInt64(8 * index))
            }
        }
        return file
    }

    private func names() -> [String] {
        ((try? WholeFile.names(in: runs.appending("monday"))) ?? []).sorted()
    }

    @Test func `sums become a whole file of the run, which a restart keeps`() throws {
        let (store, draft) = (try store(), try draft())
        #expect(try store.beginStream(at: at, byteCount: draft.byteCount, from: "ci", at: 10))
        let open = try #require(store.summaries(at: 20).first)
        #expect(open.unfinishedCount == 1 && open.wholeCount == 0 && open.announcedBytes == draft.byteCount)
        let file = try write([[4, 1, 5], [9], [16]], draft, to: store)
        let byteCount = try store.finish(file, at: 30)
        #expect(byteCount <= draft.byteCount)
        for store in [store, try self.store()] {
            let summary = try #require(store.summaries(at: 40).first)
            #expect(summary.wholeCount == 1 && summary.unfinishedCount == 0 && summary.senders == ["ci"])
            #expect(summary.arrivedBytes == byteCount)
            let path = try store.members(of: "monday", for: "job-1").files[0]
            let opened = try SafetensorsFile(opening: path)
            #expect(opened.header.tensors.map(\.name).sorted() == ["k.A", "k.B", "q.A", "q.B"])
            #expect(try PartialsMetadata(checking: opened).rowCounts?["k"] == 3)
            #expect(try store.beginStream(at: at, byteCount: 1, from: "other", at: 50) == false)
        }
    }

    @Test func `a stream that ended leaves nothing, and a crash neither`() throws {
        let (store, draft) = (try store(), try draft())
        #expect(try store.beginStream(at: at, byteCount: draft.byteCount, from: "ci", at: 10))
        do { _ = try write([[4, 1, 5], [9]], draft, to: store) }
        store.endStream(at: at)
        #expect(store.summaries(at: 20).isEmpty && names().isEmpty)
        // What a crash leaves between the last byte and the name.
        try Directories.create(runs.appending("monday"), mode: 0o755)
        try WholeFile.write([1, 2, 3], to: runs.appending("monday").appending("0-0.collected"))
        #expect(try self.store().summaries(at: 20).isEmpty && names().isEmpty)
    }

    @Test func `sums that no rows have are refused, and nothing is left`() throws {
        let (store, draft) = (try store(), try draft())
        _ = try store.beginStream(at: at, byteCount: draft.byteCount, from: "ci", at: 10)
        let file = try write([[4, 1, -5], [9], [16]], draft, to: store)
        #expect {
            _ = try store.finish(file, at: 30)
        } throws: {
            "\($0)".contains("the pushed file") && "\($0)".contains(".A")
        }
        #expect(names().isEmpty)
    }

    @Test func `a place has one stream, and a file is not pushed into it meanwhile`() throws {
        let (store, draft) = (try store(), try draft())
        #expect(try store.beginStream(at: at, byteCount: draft.byteCount, from: "rank 0 on x", at: 10))
        let file = PartialsBytes()
        for body in [
            { _ = try store.beginStream(at: at, byteCount: 9, from: "other", at: 11) },
            { _ = try store.begin(file.part, from: "other", at: 11) },
        ] {
            #expect(throws: RunStoreError.streaming(at, sender: "rank 0 on x"), performing: body)
        }
        store.endStream(at: at)
        #expect(throws: Never.self) { _ = try store.begin(file.part, from: "other", at: 11) }
        // Bytes that never became whole give way.
        #expect(try store.beginStream(at: at, byteCount: draft.byteCount, from: "rank 0 on x", at: 12))
    }

    @Test func `a stream counts against the quota, and its run does not expire`() throws {
        let (store, draft) = (try store(.bytes(2000)), try draft())
        #expect(throws: RunStoreError.overQuota(at, needed: 2001, used: 0, limit: 2000)) {
            _ = try store.beginStream(at: at, byteCount: 2001, from: "ci", at: 10)
        }
        #expect(try store.beginStream(at: at, byteCount: draft.byteCount, from: "ci", at: 10))
        #expect(store.usage.used == draft.byteCount)
        #expect(store.expire(after: 5, unless: { _ in false }, at: 1000).isEmpty)
        store.endStream(at: at)
        #expect(store.usage.used == 0)
    }

    @Test func `a run that is removed takes its streams along`() throws {
        let (store, draft) = (try store(), try draft())
        _ = try store.beginStream(at: at, byteCount: draft.byteCount, from: "ci", at: 10)
        let file = try write([[4, 1, 5], [9], [16]], draft, to: store)
        _ = try store.remove("monday", at: 20)
        #expect(throws: RunStoreError.removedMeanwhile(at)) { _ = try store.finish(file, at: 30) }
        store.endStream(at: at)
        #expect(store.summaries(at: 40).isEmpty && names().isEmpty)
    }
}
