import BlobStore
import JobJournal
import Lanes
import Scheduling

/// Makes facts durable, after the blobs that they name; it has a thread that may wait for the disk.
actor DurableRecord {
    private let lane = Lane("kfacd.durable")
    private let store: BlobStore
    private let journal: JobJournal

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(store: BlobStore, journal: JobJournal) {
        self.store = store
        self.journal = journal
    }

    /// Returns once the facts survive a loss of power.
    ///
    /// - Throws: `BlobStoreError` or `JobJournalError`. Nothing was recorded.
    func commit(_ records: [JournalRecord]) async throws {
        // A result is a fact only when its blobs are on the disk.
        try store.makeDurable()
        try await journal.append(records)
    }
}
