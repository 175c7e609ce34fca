import Identifiers
import JobJournal
import JobPlan
import Scheduling
import TestSupport
import Testing
import UnitOperations

/// Which records a journal forgets.
struct TrimTests {
    private let directory: TemporaryDirectory
    private let journal: JobJournal

    init() throws {
        directory = try TemporaryDirectory()
        journal = try JobJournal(path: directory.appending("journal.sqlite"))
    }

    private func accepted(_ job: JobID) throws -> JournalRecord {
        let fingerprint = try #require(BlobDigest(bytes: [UInt8](repeating: 7, count: 32)))
        return .jobAccepted(
            JobHeader(
                id: job, fingerprint: fingerprint, specText: "", specPath: "/job.yaml", overwrites: false,
                submittedAt: 0))
    }

    private func finished(_ job: JobID, _ unit: Int) -> JournalRecord {
        .unitFinished(
            UnitReference(job: job, unit: UnitIndex(unit)), .worker("w1"), UnitResult(),
            UnitTiming(elapsedSeconds: 1, kernelSeconds: 1), nil)
    }

    private func failed(_ job: JobID, _ unit: Int) -> JournalRecord {
        .unitFailed(
            UnitReference(job: job, unit: UnitIndex(unit)), .worker("w1"), UnitFailure(kind: .world, message: ""))
    }

    @Test func `of jobs that have ended the latest units stay, of those that run all`() async throws {
        try await journal.append([try accepted("runs"), finished("runs", 0), failed("runs", 1)])
        try await journal.append([try accepted("ended"), failed("ended", 0)])
        try await journal.append((0..<5).map { finished("ended", $0) })
        try await journal.append([.jobEnded("ended", .succeeded, finishedUnits: 5)])
        try await journal.trim(units: 2, jobs: 10)
        let left = try await journal.records().map(\.record)
        #expect(
            left == [
                try accepted("runs"), finished("runs", 0), failed("runs", 1), try accepted("ended"),
                finished("ended", 3), finished("ended", 4), .jobEnded("ended", .succeeded, finishedUnits: 5),
            ])
    }

    @Test func `the oldest jobs that have ended go, and what is appended later has higher rows`() async throws {
        for number in 1...3 {
            let job = JobID(rawValue: "job-\(number)")
            try await journal.append([try accepted(job), .jobEnded(job, .cancelled, finishedUnits: 0)])
        }
        let last = try #require(try await journal.records().last?.row)
        try await journal.trim(units: 10, jobs: 1)
        try await journal.append([try accepted("job-4")])
        let left = try await journal.records()
        #expect(
            left.map(\.record) == [
                try accepted("job-3"), .jobEnded("job-3", .cancelled, finishedUnits: 0), try accepted("job-4"),
            ])
        #expect(left.last?.row == last + 1)
    }
}
