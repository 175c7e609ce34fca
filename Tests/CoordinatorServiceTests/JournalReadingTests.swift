import BlobStore
import Identifiers
import JobJournal
import Logging
import Messaging
import Publication
import PushedRuns
import Scheduling
import Supervision
import SystemPackage
import TestSupport
import Testing
import ZeroMQ

@testable import CoordinatorService

/// The signs of a coordinator that reads its journal.
@Suite(.timeLimit(.minutes(5))) struct JournalReadingTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func `readiness says how far the reading is, and the status says the same until there is more`() async throws
    {
        let journal = try JobJournal(path: directory.appending("journal.sqlite"))
        let ends = (0..<4500).map { JournalRecord.jobEnded(JobID(rawValue: "job-\($0)"), .cancelled, finishedUnits: 1) }
        try await journal.append(ends)
        let supervision = DaemonSupervision(families: CoordinatorMetrics.families)
        let endpoint = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: try Context())
        let coordinator = Coordinator(
            configuration: CoordinatorConfiguration(
                endpoint: endpoint.endpoint, stateDirectory: FilePath(directory.path),
                heartbeatInterval: .seconds(1), workerTimeout: .seconds(10), build: "test"),
            endpoint: endpoint, store: try BlobStore(opening: FilePath(directory.path).appending("blobs")),
            runs: try RunStore(opening: FilePath(directory.path).appending("runs"), quota: .share),
            journal: journal, owner: ClaimOwner(coordinator: "c", stateDirectory: ""), supervision: supervision,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        coordinator.show()
        #expect(await supervision.status == "starting")
        try await coordinator.resume()
        // The last progress report. Records after the last full two thousand are not reported.
        #expect(supervision.readiness.reason == "reading the journal: 4000 of 4500 records")
        #expect(await supervision.status == "reading the journal: 4000 of 4500 records")
        #expect(await supervision.sections.isEmpty)
        supervision.readiness.set()
        #expect(await supervision.status == "no job, 0 workers")
        let sections = await supervision.sections
        let tables = sections.compactMap { section in if case .table(let table) = section { table.title } else { nil } }
        #expect(tables == ["Jobs", "Workers", "Recent warnings", "Ended jobs"])
        await coordinator.close()
        await endpoint.close()
        try await journal.close()
    }
}
