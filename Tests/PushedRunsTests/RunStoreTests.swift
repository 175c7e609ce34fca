import FileAccess
import Identifiers
import PushedRuns
import SystemPackage
import TestSupport
import Testing

/// The runs on the disk.
struct RunStoreTests {
    private let directory: TemporaryDirectory
    private var runs: FilePath { FilePath(directory.appending("runs")) }

    init() throws { directory = try TemporaryDirectory() }

    private func store(_ quota: RunQuota = .bytes(1 << 20)) throws -> RunStore {
        try RunStore(opening: runs, quota: quota)
    }

    /// Announces a file and sends bytes of it.
    @discardableResult
    private func send(
        _ bytes: [UInt8], of part: PushedPart, to store: RunStore, from sender: String = "ci"
    ) throws -> IncomingPart? {
        guard case .incoming(let incoming) = try store.begin(part, from: sender, at: 10) else { return nil }
        while !incoming.isReady { try incoming.readOn() }
        let rest = Array(bytes.dropFirst(Int(incoming.arrived)))
        try incoming.append(rest.span.bytes)
        store.note(incoming, at: 10)
        return incoming
    }

    /// Pushes a whole file.
    private func push(_ file: PartialsBytes, to store: RunStore) throws {
        guard let incoming = try send(file.bytes, of: file.part, to: store) else { return }
        try store.finish(incoming, at: 11)
    }

    private func refusal(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func `a whole file stays over a restart, with its sender, and is not taken again`() throws {
        let file = PartialsBytes(rank: 2, sequence: 3)
        try push(file, to: try store())
        let again = try store()
        guard case .whole = try again.begin(file.part, from: "other", at: 20) else {
            Issue.record("the file is asked for again")
            return
        }
        let summary = try #require(again.summaries(at: 40).first)
        #expect(summary.run == "monday" && summary.senders == ["ci"] && summary.wholeCount == 1)
        // Ranks 0 and 1, and sequences 0 to 2 of rank 2, are missing.
        #expect(summary.missingCount == 5 && summary.unfinishedCount == 0)
        #expect(summary.arrivedBytes == file.part.content.byteCount)
    }

    @Test func `a push goes on after the bytes that arrived before a restart`() throws {
        let file = PartialsBytes()
        try send(Array(file.bytes.prefix(100)), of: file.part, to: try store())
        let again = try store()
        #expect(again.summaries(at: 10).first?.arrivedBytes == 100)
        guard case .incoming(let incoming) = try again.begin(file.part, from: "ci", at: 20) else { return }
        while !incoming.isReady { try incoming.readOn() }
        #expect(incoming.arrived == 100)
        let rest = Array(file.bytes.dropFirst(100))
        try incoming.append(rest.span.bytes)
        try again.finish(incoming, at: 21)
        let members = try again.members(of: "monday", for: "job-1")
        #expect(try WholeFile.read(members.files[0], limit: 1 << 20) == file.bytes)
    }

    @Test func `other bytes for the same rank and sequence are refused, and the sender is named`() throws {
        let store = try store()
        let (file, other) = (PartialsBytes(), PartialsBytes(elements: [2, 0, 2, 0, 0, 2, 4, 0, 4]))
        try push(file, to: store)
        #expect(
            refusal { try push(other, to: store) }
                == "run \"monday\", sequence 0 of rank 0: other bytes stand there: \(file.bytes.count) bytes with the SHA-256 "
                + "\(file.part.content.digest), from ci. A pushed file is never replaced: push under another run name, or "
                + "remove the run with \"kfacctl runs --remove\".")
    }

    @Test func `bytes that never became whole are replaced by other ones`() throws {
        let store = try store()
        let (file, other) = (PartialsBytes(), PartialsBytes(elements: [2, 0, 2, 0, 0, 2, 4, 0, 4]))
        try send(Array(file.bytes.prefix(100)), of: file.part, to: store)
        try push(other, to: store)
        let members = try store.members(of: "monday", for: "job-1")
        #expect(try members.files.map { try WholeFile.read($0, limit: 1 << 20) } == [other.bytes])
        #expect(try WholeFile.names(in: runs.appending("monday")).count == 2)
    }

    @Test func `bytes of another digest are removed, and the right ones are taken then`() throws {
        let store = try store()
        let file = PartialsBytes()
        let wrong = [UInt8](repeating: 0, count: file.bytes.count)
        let incoming = try #require(try send(wrong, of: file.part, to: store))
        #expect(
            refusal { try store.finish(incoming, at: 1) }.hasPrefix(
                "run \"monday\", sequence 0 of rank 0: the bytes that arrived have the SHA-256 "))
        #expect(store.summaries(at: 0).isEmpty)
        try push(file, to: store)
        #expect(store.summaries(at: 0).first?.wholeCount == 1)
    }

    /// A file that is whole, but not what was announced.
    struct WrongFile: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let message: String
    }

    @Test(arguments: [
        WrongFile(
            testDescription: "another run", bytes: PartialsBytes(run: "tuesday").bytes,
            message: "the file's metadata says run \"tuesday\", sequence 0 of rank 0; expected what was announced."),
        WrongFile(
            testDescription: "another rank", bytes: PartialsBytes(rank: 1).bytes,
            message: "the file's metadata says run \"monday\", sequence 0 of rank 1; expected what was announced."),
        WrongFile(testDescription: "text", bytes: Array("hello, world".utf8), message: "the pushed file: "),
        WrongFile(
            testDescription: "half a file", bytes: Array(PartialsBytes().bytes.dropLast(8)),
            message: "the pushed file: "),
        WrongFile(
            testDescription: "NaN", bytes: PartialsBytes(elements: [1, 0, 1, 0, 0, .nan, 2, 0, 2]).bytes,
            message: "tensor \"fc.A\": row 2 holds NaN or infinity"),
        WrongFile(
            testDescription: "a negative square", bytes: PartialsBytes(elements: [1, 0, 1, 0, 0, 1, -2, 0, 2]).bytes,
            message: "tensor \"fc.B\": the diagonal element of row 0 is -2.0"),
        WrongFile(
            testDescription: "a negative count of a diagonal",
            bytes: PartialsBytes(isDiagonal: true, elements: [4, -1, 0, 2, 0, 2]).bytes,
            message: "tensor \"fc.A\": the diagonal element of row 1 is -1.0"),
    ])
    func `a whole file that is not what was announced is refused and removed`(wrong: WrongFile) throws {
        let store = try store()
        var part = PartialsBytes().part
        part.content = PartialsBytes.reference(wrong.bytes)
        let incoming = try #require(try send(wrong.bytes, of: part, to: store))
        let sentence = refusal { try store.finish(incoming, at: 1) }
        #expect(sentence.contains(wrong.message) && sentence.hasSuffix("Nothing was kept."), "\(sentence)")
        #expect(!sentence.contains(directory.path))
        #expect(try WholeFile.names(in: runs).isEmpty)
    }

    @Test func `a file with a diagonal is taken`() throws {
        let store = try store()
        try push(PartialsBytes(isDiagonal: true, elements: [4, 1, 0, 2, 0, 2]), to: store)
        #expect(store.summaries(at: 0).first?.wholeCount == 1)
    }

    @Test func `a file above the quota is refused before anything is written`() throws {
        let (first, second) = (PartialsBytes(), PartialsBytes(sequence: 1))
        let store = try store(.bytes(UInt64(first.bytes.count + 10)))
        try push(first, to: store)
        #expect(
            refusal { try push(second, to: store) }
                == "run \"monday\", sequence 1 of rank 0: the file has \(second.bytes.count) bytes, and all runs together have "
                + "\(first.bytes.count) of at most \(first.bytes.count + 10). Remove a run with \"kfacctl runs --remove\", wait "
                + "until one expires, or raise \"run-quota\" of the coordinator.")
        _ = try store.remove("monday", at: 0)
        try push(second, to: store)
    }

    @Test func `announced bytes count against the quota before they arrive`() throws {
        let (first, second) = (PartialsBytes(), PartialsBytes(sequence: 1))
        let store = try store(.bytes(UInt64(first.bytes.count + 10)))
        try send([], of: first.part, to: store)
        #expect(
            refusal { try push(second, to: store) }.contains("all runs together have \(first.bytes.count) of at most"))
    }

    @Test(arguments: ["", ".", "..", "../up", "a/b", "a\\b", "a\u{0}b", "a\nb", String(repeating: "x", count: 201)])
    func `a name that cannot be a directory is refused`(name: String) throws {
        let part = PartialsBytes(run: name).part
        let store = try store()
        #expect(refusal { try send([], of: part, to: store) }.contains("cannot name a run"))
        #expect(!Directories.exists(runs))
    }

    @Test func `a run expires after its time, but not while a job uses it`() throws {
        let store = try store()
        try push(PartialsBytes(), to: store)
        var members: RunMembers? = try store.members(of: "monday", for: "job-1")
        #expect(store.expire(after: 5, unless: { _ in false }, at: 100).isEmpty)
        #expect(
            refusal { _ = try store.remove("monday", at: 100) }
                == "run \"monday\": a job uses it. Wait for the job, or cancel it.")
        try store.keep(try #require(members), for: "job-1")
        members = nil
        #expect(store.expire(after: 5, unless: { _ in false }, at: 100).isEmpty)
        store.release("job-1", at: 100)
        #expect(store.expire(after: 5, unless: { _ in false }, at: 104).isEmpty)
        #expect(store.expire(after: 5, unless: { _ in true }, at: 106).isEmpty)
        #expect(store.expire(after: 5, unless: { _ in false }, at: 106).map(\.run) == ["monday"])
        #expect(store.summaries(at: 0).isEmpty)
        #expect(try WholeFile.names(in: runs).isEmpty)
    }

    @Test func `a job keeps its files over a restart, and gets no later ones`() throws {
        let first = try store()
        try push(PartialsBytes(), to: first)
        try first.keep(try first.members(of: "monday", for: "job-1"), for: "job-1")
        try push(PartialsBytes(sequence: 1), to: first)
        let again = try store()
        #expect(again.summaries(at: 0).first?.jobs == ["job-1"])
        #expect(try again.members(of: "monday", for: "job-1").files.count == 1)
        #expect(try again.members(of: "monday", for: "job-2").files.count == 2)
        again.releaseAll(except: [], at: 0)
        #expect(try store().members(of: "monday", for: "job-1").files.count == 2)
    }

    @Test func `files are in the order of rank and sequence`() throws {
        let store = try store()
        for (rank, sequence) in [(10, 0), (2, 11), (2, 3), (0, 0)] {
            try push(PartialsBytes(rank: rank, sequence: sequence), to: store)
        }
        let names = try store.members(of: "monday", for: "j").files.compactMap(\.lastComponent?.string)
        #expect(
            names.map { $0.split(separator: "-").prefix(2).joined(separator: "-") } == ["0-0", "2-3", "2-11", "10-0"])
    }

    @Test func `a damaged file is found, and can be pushed again`() throws {
        let store = try store()
        let (file, other) = (PartialsBytes(), PartialsBytes(sequence: 1))
        try push(file, to: store)
        try push(other, to: store)
        let members = try store.members(of: "monday", for: "j")
        var bytes = other.bytes
        bytes[bytes.count - 1] ^= 1
        try WholeFile.write(bytes, to: members.files[1])
        #expect(try members.removeDamaged { _ in true } == [PartialsPlace(rank: 0, sequence: 1)])
        try push(other, to: store)
        #expect(try store.members(of: "monday", for: "j").removeDamaged { _ in true } == [])
    }

    @Test func `a missing file is damaged, and one that cannot be read now stays`() throws {
        let store = try store()
        try push(PartialsBytes(), to: store)
        try push(PartialsBytes(sequence: 1), to: store)
        let members = try store.members(of: "monday", for: "j")
        try Directories.remove(members.files[0])
        #expect(try members.removeDamaged { $0 == 0 } == [PartialsPlace(rank: 0, sequence: 0)])
        try Directories.remove(members.files[1])
        try Directories.create(members.files[1])
        #expect(refusal { _ = try members.removeDamaged { _ in true } }.contains("is a directory, not a regular file"))
        #expect(store.summaries(at: 0).first?.wholeCount == 1)
    }

    @Test func `what a crash left half-made is removed`() throws {
        let file = PartialsBytes()
        try push(file, to: try store())
        let run = runs.appending("monday")
        let digest = file.part.content.digest
        for name in ["0-1-\(digest).incoming", "0-2-\(digest).json", ".0-0-\(digest).json.0011223344556677.partial"] {
            try WholeFile.write([1], to: run.appending(name))
        }
        try Directories.create(runs.appending(".removed-1f/x"))
        _ = try store()
        #expect(try WholeFile.names(in: run) == ["0-0-\(digest).json", "0-0-\(digest).safetensors"])
        #expect(try WholeFile.names(in: runs) == ["monday"])
    }

    @Test func `an unknown run is refused with the known ones`() throws {
        let store = try store()
        try push(PartialsBytes(), to: store)
        let sentence = "run \"sunday\": nothing was pushed under this name. Known runs: monday."
        #expect(refusal { _ = try store.members(of: "sunday", for: "j") } == sentence)
        #expect(refusal { _ = try store.remove("sunday", at: 0) } == sentence)
    }
}
