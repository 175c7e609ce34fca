import Identifiers
import Testing
import WireProtocol

/// Lists that are longer than a message.
@Suite struct ReplyCutTests {
    private func job(_ number: Int, text: String = "") -> JobReport {
        JobReport(
            job: JobID(rawValue: "job-\(number)"), specPath: "/\(text)", submittedAt: 0, finishedUnits: 0,
            totalUnits: 1, fraction: 0,
            state: .running, message: text, output: "/\(text)", activity: "")
    }

    /// The reply that arrives, and the number of items that the sender left out.
    private func arrived(_ reply: ClientReply) throws -> (reply: ClientReply, further: Int) {
        let message = try WireMessage(decoding: try WireMessage.reply(1, reply.fitted).encoded())
        guard case .reply(1, let arrived) = message else { return (reply, -1) }
        guard case .cut(let list, let further) = arrived else { return (arrived, 0) }
        return (list, further)
    }

    @Test func `a list that fits arrives whole`() throws {
        let reply = ClientReply.jobs((0..<1000).map { job($0, text: "some words") })
        #expect(try arrived(reply) == (reply, 0))
    }

    @Test(arguments: [0, 1000]) func `of too many jobs the latest arrive, with the number of the others`(length: Int)
        throws
    {
        let jobs = (0..<50_000).map { job($0, text: String(repeating: "8", count: length)) }
        let (reply, further) = try arrived(.jobs(jobs))
        guard case .jobs(let shown) = reply else {
            Issue.record("something else arrived")
            return
        }
        #expect(shown.count > 50)
        #expect(shown.count + further == jobs.count)
        #expect(shown == Array(jobs.suffix(shown.count)))
    }

    @Test func `of too many files the first arrive, with the number of the others`() throws {
        let files = (0..<300_000).map { OutputFile(path: "factors/\($0).safetensors", byteCount: 1) }
        let (reply, further) = try arrived(.outputs(files))
        guard case .outputs(let shown) = reply else {
            Issue.record("something else arrived")
            return
        }
        #expect(shown.count + further == files.count)
        #expect(shown == Array(files.prefix(shown.count)))
    }

    @Test func `what the receiver would not take in is an error of the sender`() {
        let files = (0..<300_000).map { OutputFile(path: "\($0)", byteCount: 1) }
        #expect(throws: WireError.tooManyFields) { try WireMessage.reply(1, .outputs(files)).encoded() }
    }
}
